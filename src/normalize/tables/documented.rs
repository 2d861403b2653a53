//! The columns of each table by Microsoft's own reference, and those seen on the wire beyond it: what the tables here
//! are held against.

/// A table, the columns that are documented for it, and the ones that come though they aren't.
pub(super) type Documented = (&'static str, &'static str, &'static str);

#[rustfmt::skip]
pub(super) const DOCUMENTED: &[Documented] = &[
    (
        "AlertInfo",
        "Timestamp AlertId Title Category Severity ServiceSource DetectionSource AttackTechniques",
        "MachineGroup",
    ),
    (
        "AlertEvidence",
        "Timestamp AlertId Title Categories AttackTechniques ServiceSource DetectionSource EntityType EvidenceRole \
         EvidenceDirection FileName FolderPath SHA1 SHA256 FileSize ThreatFamily RemoteIP RemoteUrl AccountName \
         AccountDomain AccountSid AccountObjectId AccountUpn DeviceId DeviceName LocalIP NetworkMessageId \
         EmailSubject Application ApplicationId OAuthApplicationId ProcessCommandLine RegistryKey \
         RegistryValueName RegistryValueData AdditionalFields Severity CloudResource CloudPlatform ResourceType \
         ResourceID SubscriptionId",
        "MachineGroup",
    ),
    (
        "DeviceInfo",
        "Timestamp DeviceId DeviceName ClientVersion PublicIP OSArchitecture OSPlatform OSBuild IsAzureADJoined \
         JoinType AadDeviceId LoggedOnUsers RegistryDeviceTag OSVersion MachineGroup ReportId OnboardingStatus \
         AdditionalFields DeviceCategory DeviceType DeviceSubtype Model Vendor OSDistribution OSVersionInfo \
         MergedDeviceIds MergedToDeviceId IsInternetFacing SensorHealthState IsExcluded ExclusionReason \
         ExposureLevel AssetValue DeviceManualTags DeviceDynamicTags ConnectivityType HostDeviceId AzureResourceId \
         AwsResourceName GcpFullResourceName",
        "MitigationStatus HardwareUuid AzureVmId AzureVmSubscriptionId CloudPlatforms IsTransient OsBuildRevision",
    ),
    (
        "DeviceNetworkInfo",
        "Timestamp DeviceId DeviceName NetworkAdapterName MacAddress NetworkAdapterType NetworkAdapterStatus \
         TunnelType ConnectedNetworks DnsAddresses IPv4Dhcp IPv6Dhcp DefaultGateways IPAddresses ReportId \
         NetworkAdapterVendor",
        "MachineGroup",
    ),
    (
        "DeviceProcessEvents",
        "Timestamp DeviceId DeviceName ActionType FileName FolderPath SHA1 SHA256 MD5 FileSize \
         ProcessVersionInfoCompanyName ProcessVersionInfoProductName ProcessVersionInfoProductVersion \
         ProcessVersionInfoInternalFileName ProcessVersionInfoOriginalFileName ProcessVersionInfoFileDescription \
         ProcessId ProcessCommandLine ProcessIntegrityLevel ProcessTokenElevation ProcessCreationTime \
         AccountDomain AccountName AccountSid AccountUpn AccountObjectId LogonId InitiatingProcessAccountDomain \
         InitiatingProcessAccountName InitiatingProcessAccountSid InitiatingProcessAccountUpn \
         InitiatingProcessAccountObjectId InitiatingProcessLogonId InitiatingProcessIntegrityLevel \
         InitiatingProcessTokenElevation InitiatingProcessSHA1 InitiatingProcessSHA256 InitiatingProcessMD5 \
         InitiatingProcessFileName InitiatingProcessFileSize InitiatingProcessId InitiatingProcessCommandLine \
         InitiatingProcessCreationTime InitiatingProcessFolderPath InitiatingProcessParentId \
         InitiatingProcessParentFileName InitiatingProcessParentCreationTime \
         InitiatingProcessVersionInfoCompanyName InitiatingProcessVersionInfoProductName \
         InitiatingProcessVersionInfoProductVersion InitiatingProcessVersionInfoInternalFileName \
         InitiatingProcessVersionInfoOriginalFileName InitiatingProcessVersionInfoFileDescription \
         InitiatingProcessSignerType InitiatingProcessSignatureStatus ReportId AppGuardContainerId \
         AdditionalFields InitiatingProcessSessionId IsInitiatingProcessRemoteSession \
         InitiatingProcessRemoteSessionDeviceName InitiatingProcessRemoteSessionIP CreatedProcessSessionId \
         IsProcessRemoteSession ProcessRemoteSessionDeviceName ProcessRemoteSessionIP",
        "ProcessUniqueId InitiatingProcessUniqueId MachineGroup",
    ),
    (
        "DeviceNetworkEvents",
        "Timestamp DeviceId DeviceName ActionType RemoteIP RemotePort RemoteUrl LocalIP LocalPort Protocol \
         LocalIPType RemoteIPType InitiatingProcessSHA1 InitiatingProcessSHA256 InitiatingProcessMD5 \
         InitiatingProcessFileName InitiatingProcessFileSize InitiatingProcessId InitiatingProcessCommandLine \
         InitiatingProcessCreationTime InitiatingProcessFolderPath InitiatingProcessParentId \
         InitiatingProcessParentFileName InitiatingProcessParentCreationTime \
         InitiatingProcessVersionInfoCompanyName InitiatingProcessVersionInfoProductName \
         InitiatingProcessVersionInfoProductVersion InitiatingProcessVersionInfoInternalFileName \
         InitiatingProcessVersionInfoOriginalFileName InitiatingProcessVersionInfoFileDescription \
         InitiatingProcessAccountDomain InitiatingProcessAccountName InitiatingProcessAccountSid \
         InitiatingProcessAccountUpn InitiatingProcessAccountObjectId InitiatingProcessIntegrityLevel \
         InitiatingProcessTokenElevation ReportId AppGuardContainerId AdditionalFields InitiatingProcessSessionId \
         IsInitiatingProcessRemoteSession InitiatingProcessRemoteSessionDeviceName \
         InitiatingProcessRemoteSessionIP",
        "InitiatingProcessUniqueId MachineGroup",
    ),
    (
        "DeviceFileEvents",
        "Timestamp DeviceId DeviceName ActionType FileName FolderPath SHA1 SHA256 MD5 FileOriginUrl \
         FileOriginReferrerUrl FileOriginIP PreviousFolderPath PreviousFileName FileSize \
         InitiatingProcessAccountDomain InitiatingProcessAccountName InitiatingProcessAccountSid \
         InitiatingProcessAccountUpn InitiatingProcessAccountObjectId InitiatingProcessSHA1 \
         InitiatingProcessSHA256 InitiatingProcessMD5 InitiatingProcessFileName InitiatingProcessFileSize \
         InitiatingProcessId InitiatingProcessCommandLine InitiatingProcessCreationTime \
         InitiatingProcessFolderPath InitiatingProcessParentId InitiatingProcessParentFileName \
         InitiatingProcessParentCreationTime InitiatingProcessVersionInfoCompanyName \
         InitiatingProcessVersionInfoProductName InitiatingProcessVersionInfoProductVersion \
         InitiatingProcessVersionInfoInternalFileName InitiatingProcessVersionInfoOriginalFileName \
         InitiatingProcessVersionInfoFileDescription InitiatingProcessIntegrityLevel \
         InitiatingProcessTokenElevation RequestProtocol RequestSourceIP RequestSourcePort RequestAccountName \
         RequestAccountDomain RequestAccountSid ShareName SensitivityLabel SensitivitySubLabel \
         IsAzureInfoProtectionApplied ReportId AppGuardContainerId AdditionalFields InitiatingProcessSessionId \
         IsInitiatingProcessRemoteSession InitiatingProcessRemoteSessionDeviceName \
         InitiatingProcessRemoteSessionIP",
        "InitiatingProcessUniqueId MachineGroup",
    ),
    (
        "DeviceRegistryEvents",
        "Timestamp DeviceId DeviceName ActionType RegistryKey RegistryValueType RegistryValueName \
         RegistryValueData PreviousRegistryKey PreviousRegistryValueName PreviousRegistryValueData \
         InitiatingProcessAccountDomain InitiatingProcessAccountName InitiatingProcessAccountSid \
         InitiatingProcessAccountUpn InitiatingProcessAccountObjectId InitiatingProcessSHA1 \
         InitiatingProcessSHA256 InitiatingProcessMD5 InitiatingProcessFileName InitiatingProcessFileSize \
         InitiatingProcessId InitiatingProcessCommandLine InitiatingProcessCreationTime \
         InitiatingProcessFolderPath InitiatingProcessParentId InitiatingProcessParentFileName \
         InitiatingProcessParentCreationTime InitiatingProcessVersionInfoCompanyName \
         InitiatingProcessVersionInfoProductName InitiatingProcessVersionInfoProductVersion \
         InitiatingProcessVersionInfoInternalFileName InitiatingProcessVersionInfoOriginalFileName \
         InitiatingProcessVersionInfoFileDescription InitiatingProcessIntegrityLevel \
         InitiatingProcessTokenElevation ReportId AppGuardContainerId InitiatingProcessSessionId \
         IsInitiatingProcessRemoteSession InitiatingProcessRemoteSessionDeviceName \
         InitiatingProcessRemoteSessionIP",
        "MachineGroup",
    ),
    (
        "DeviceLogonEvents",
        "Timestamp DeviceId DeviceName ActionType LogonType AccountDomain AccountName AccountSid Protocol \
         FailureReason IsLocalAdmin LogonId RemoteDeviceName RemoteIP RemoteIPType RemotePort \
         InitiatingProcessAccountDomain InitiatingProcessAccountName InitiatingProcessAccountSid \
         InitiatingProcessAccountUpn InitiatingProcessAccountObjectId InitiatingProcessIntegrityLevel \
         InitiatingProcessTokenElevation InitiatingProcessSHA1 InitiatingProcessSHA256 InitiatingProcessMD5 \
         InitiatingProcessFileName InitiatingProcessFileSize InitiatingProcessId InitiatingProcessCommandLine \
         InitiatingProcessCreationTime InitiatingProcessFolderPath InitiatingProcessParentId \
         InitiatingProcessParentFileName InitiatingProcessParentCreationTime \
         InitiatingProcessVersionInfoCompanyName InitiatingProcessVersionInfoProductName \
         InitiatingProcessVersionInfoProductVersion InitiatingProcessVersionInfoInternalFileName \
         InitiatingProcessVersionInfoOriginalFileName InitiatingProcessVersionInfoFileDescription ReportId \
         AppGuardContainerId AdditionalFields InitiatingProcessSessionId IsInitiatingProcessRemoteSession \
         InitiatingProcessRemoteSessionDeviceName InitiatingProcessRemoteSessionIP",
        "InitiatingProcessUniqueId MachineGroup",
    ),
    (
        "DeviceImageLoadEvents",
        "Timestamp DeviceId DeviceName ActionType FileName FolderPath SHA1 SHA256 MD5 FileSize \
         InitiatingProcessAccountDomain InitiatingProcessAccountName InitiatingProcessAccountSid \
         InitiatingProcessAccountUpn InitiatingProcessAccountObjectId InitiatingProcessIntegrityLevel \
         InitiatingProcessTokenElevation InitiatingProcessSHA1 InitiatingProcessSHA256 InitiatingProcessMD5 \
         InitiatingProcessFileName InitiatingProcessFileSize InitiatingProcessId InitiatingProcessCommandLine \
         InitiatingProcessCreationTime InitiatingProcessFolderPath InitiatingProcessParentId \
         InitiatingProcessParentFileName InitiatingProcessParentCreationTime \
         InitiatingProcessVersionInfoCompanyName InitiatingProcessVersionInfoProductName \
         InitiatingProcessVersionInfoProductVersion InitiatingProcessVersionInfoInternalFileName \
         InitiatingProcessVersionInfoOriginalFileName InitiatingProcessVersionInfoFileDescription ReportId \
         AppGuardContainerId InitiatingProcessSessionId IsInitiatingProcessRemoteSession \
         InitiatingProcessRemoteSessionDeviceName InitiatingProcessRemoteSessionIP",
        "InitiatingProcessUniqueId MachineGroup",
    ),
    (
        "DeviceEvents",
        "Timestamp DeviceId DeviceName ActionType FileName FolderPath SHA1 SHA256 MD5 FileSize AccountDomain \
         AccountName AccountSid RemoteUrl RemoteDeviceName ProcessId ProcessCommandLine ProcessCreationTime \
         ProcessTokenElevation LogonId RegistryKey RegistryValueName RegistryValueData RemoteIP RemotePort LocalIP \
         LocalPort FileOriginUrl FileOriginIP InitiatingProcessSHA1 InitiatingProcessSHA256 InitiatingProcessMD5 \
         InitiatingProcessFileName InitiatingProcessFileSize InitiatingProcessId InitiatingProcessCommandLine \
         InitiatingProcessCreationTime InitiatingProcessFolderPath InitiatingProcessParentId \
         InitiatingProcessParentFileName InitiatingProcessParentCreationTime InitiatingProcessAccountDomain \
         InitiatingProcessAccountName InitiatingProcessAccountSid InitiatingProcessAccountUpn \
         InitiatingProcessAccountObjectId InitiatingProcessVersionInfoCompanyName \
         InitiatingProcessVersionInfoProductName InitiatingProcessVersionInfoProductVersion \
         InitiatingProcessVersionInfoInternalFileName InitiatingProcessVersionInfoOriginalFileName \
         InitiatingProcessVersionInfoFileDescription InitiatingProcessLogonId ReportId AppGuardContainerId \
         AdditionalFields InitiatingProcessSessionId IsInitiatingProcessRemoteSession \
         InitiatingProcessRemoteSessionDeviceName InitiatingProcessRemoteSessionIP CreatedProcessSessionId \
         IsProcessRemoteSession ProcessRemoteSessionDeviceName ProcessRemoteSessionIP",
        "InitiatingProcessUniqueId MachineGroup",
    ),
    (
        "DeviceFileCertificateInfo",
        "Timestamp DeviceId DeviceName SHA1 IsSigned SignatureType Signer SignerHash Issuer IssuerHash \
         CertificateSerialNumber CrlDistributionPointUrls CertificateCreationTime CertificateExpirationTime \
         CertificateCountersignatureTime IsTrusted IsRootSignerMicrosoft ReportId",
        "MachineGroup",
    ),
    (
        "EmailEvents",
        "Timestamp NetworkMessageId InternetMessageId SenderMailFromAddress SenderFromAddress SenderDisplayName \
         SenderObjectId SenderMailFromDomain SenderFromDomain SenderIPv4 SenderIPv6 RecipientEmailAddress \
         RecipientObjectId Subject EmailClusterId EmailDirection DeliveryAction DeliveryLocation ThreatTypes \
         ThreatNames DetectionMethods ConfidenceLevel BulkComplaintLevel EmailAction EmailActionPolicy \
         EmailActionPolicyGuid AuthenticationDetails AttachmentCount UrlCount EmailLanguage Connectors \
         OrgLevelAction OrgLevelPolicy UserLevelAction UserLevelPolicy ReportId AdditionalFields",
        "To Cc EmailSize RecipientDomain IsFirstContact ThreatClassification ForwardingInformation \
         DistributionList ExchangeTransportRule Context",
    ),
    (
        "EmailAttachmentInfo",
        "Timestamp NetworkMessageId SenderFromAddress SenderDisplayName SenderObjectId RecipientEmailAddress \
         RecipientObjectId FileName FileType SHA256 FileSize ThreatTypes ThreatNames DetectionMethods ReportId",
        "FileExtension",
    ),
    (
        "EmailUrlInfo",
        "Timestamp NetworkMessageId Url UrlDomain UrlLocation ReportId",
        "UrlChainId UrlChainPosition",
    ),
    (
        "EmailPostDeliveryEvents",
        "Timestamp NetworkMessageId InternetMessageId Action ActionType ActionTrigger ActionResult \
         RecipientEmailAddress DeliveryLocation ThreatTypes DetectionMethods ReportId",
        "SenderFromAddress EmailDirection",
    ),
    (
        "UrlClickEvents",
        "Timestamp Url ActionType AccountUpn Workload NetworkMessageId ThreatTypes DetectionMethods IPAddress \
         IsClickedThrough UrlChain ReportId",
        "AppName AppVersion SourceId",
    ),
    (
        "IdentityLogonEvents",
        "Timestamp ActionType Application LogonType Protocol FailureReason AccountName AccountDomain AccountUpn \
         AccountSid AccountObjectId AccountDisplayName DeviceName DeviceType OSPlatform IPAddress Port \
         DestinationDeviceName DestinationIPAddress DestinationPort TargetDeviceName TargetAccountDisplayName \
         Location Isp ReportId AdditionalFields",
        "ISP UncommonForUser LastSeenForUser",
    ),
    (
        "IdentityQueryEvents",
        "Timestamp ActionType Application QueryType QueryTarget Query Protocol AccountName AccountDomain \
         AccountUpn AccountSid AccountObjectId AccountDisplayName DeviceName IPAddress Port DestinationDeviceName \
         DestinationIPAddress DestinationPort TargetDeviceName TargetAccountUpn TargetAccountDisplayName Location \
         ReportId AdditionalFields",
        "",
    ),
    (
        "IdentityDirectoryEvents",
        "Timestamp ActionType Application TargetAccountUpn TargetAccountDisplayName TargetDeviceName \
         DestinationDeviceName DestinationIPAddress DestinationPort Protocol AccountName AccountDomain AccountUpn \
         AccountSid AccountObjectId AccountDisplayName DeviceName IPAddress Port Location ISP ReportId \
         AdditionalFields",
        "",
    ),
    (
        "CloudAppEvents",
        "Timestamp ActionType Application ApplicationId AppInstanceId AccountObjectId AccountId AccountDisplayName \
         IsAdminOperation DeviceType OSPlatform IPAddress IsAnonymousProxy CountryCode City Isp UserAgent \
         ActivityType ActivityObjects ObjectName ObjectType ObjectId ReportId AccountType IsExternalUser \
         IsImpersonated IPTags IPCategory UserAgentTags RawEventData AdditionalFields LastSeenForUser \
         UncommonForUser AuditSource SessionData OAuthAppId",
        "ISP",
    ),
    (
        "BehaviorInfo",
        "Timestamp BehaviorId ActionType Description Categories AttackTechniques ServiceSource DetectionSource \
         DataSources DeviceId AccountUpn AccountObjectId StartTime EndTime AdditionalFields Title",
        "",
    ),
    (
        "BehaviorEntities",
        "Timestamp BehaviorId ActionType Categories ServiceSource DetectionSource DataSources EntityType \
         EntityRole DetailedEntityRole FileName FolderPath SHA1 SHA256 FileSize ThreatFamily RemoteIP RemoteUrl \
         AccountName AccountDomain AccountSid AccountObjectId AccountUpn DeviceId DeviceName LocalIP \
         NetworkMessageId EmailSubject EmailClusterId Application ApplicationId OAuthApplicationId \
         ProcessCommandLine RegistryKey RegistryValueName RegistryValueData AdditionalFields",
        "",
    ),
    (
        "IdentityInfo",
        "",
        "Timestamp ReportId IdentityId AccountName AccountDomain AccountUpn AccountObjectId AccountDisplayName \
         GivenName Surname Department JobTitle EmailAddress Manager Address City Country Phone CreatedDateTime \
         DistinguishedName OnPremSid CloudSid IsAccountEnabled SourceProvider ChangeSource BlastRadius CompanyName \
         DeletedDateTime EmployeeId OtherMailAddresses RiskLevel RiskLevelDetails State Tags UserAccountControl \
         SourceProviders IdentityEnvironment CriticalityLevel OnPremObjectId PrivilegedEntraPimRoles \
         SipProxyAddress Type",
    ),
    (
        "MessageEvents",
        "",
        "Timestamp LastEditedTime TeamsMessageId SenderEmailAddress SenderDisplayName SenderObjectId SenderType \
         RecipientDetails IsOwnedThread MessageId ParentMessageId GroupId GroupName ThreadId ThreadName ThreadType \
         ThreadSubType IsExternalThread MessageType MessageSubtype MessageVersion Subject ThreatTypes \
         DetectionMethods ConfidenceLevel DeliveryAction DeliveryLocation ReportId SafetyTip",
    ),
    (
        "MessageUrlInfo",
        "",
        "Timestamp TeamsMessageId Url UrlDomain ReportId",
    ),
    (
        "CloudAuditEvents",
        "",
        "OperationName Account IPAddress AzureResourceId AwsResourceName GcpFullResourceName",
    ),
    (
        "CloudProcessEvents",
        "",
        "ProcessName ProcessId ParentProcessId ContainerId ContainerImageName KubernetesPodName ContainerName \
         ParentProcessName ProcessCommandLine ProcessCreationTime ProcessCurrentWorkingDirectory AccountName LogonId \
         FolderPath FileName KubernetesNamespace KubernetesResource AzureResourceId AwsResourceName \
         GcpFullResourceName",
    ),
    (
        "CloudStorageAggregatedEvents",
        "",
        "OperationsCount DataAggregationStartTime DataAggregationEndTime",
    ),
    (
        "MessagePostDeliveryEvents",
        "",
        "TeamsMessageId Action ActionType ActionResult DetectionMethods ThreatTypes DeliveryLocation",
    ),
];
