/**
 * Every command (242) and event (57) of QEMU 11.1.
 * Generated from query-qmp-schema by scripts/generate-types.mjs: do not edit.
 */

/** No arguments, or a reply without content. */
export type Empty = Readonly<Record<string, never>>;

/** Tables of QEMU 11.1, for `QmpClient.connect<Qemu111>()`. */
export interface Qemu111 {
  readonly commands: Commands;
  readonly events: Events;
}

export interface Commands {
  'add-fd': { arguments: AddFdArguments; return: AddFdReturn };
  add_client: { arguments: AddClientArguments; return: Empty };
  'announce-self': { arguments: AnnounceSelfArguments; return: Empty };
  balloon: { arguments: BalloonArguments; return: Empty };
  'block-commit': { arguments: BlockCommitArguments; return: Empty };
  'block-dirty-bitmap-add': { arguments: BlockDirtyBitmapAddArguments; return: Empty };
  'block-dirty-bitmap-clear': { arguments: BlockDirtyBitmapClearArguments; return: Empty };
  'block-dirty-bitmap-disable': { arguments: BlockDirtyBitmapClearArguments; return: Empty };
  'block-dirty-bitmap-enable': { arguments: BlockDirtyBitmapClearArguments; return: Empty };
  'block-dirty-bitmap-merge': { arguments: BlockDirtyBitmapMergeArguments; return: Empty };
  'block-dirty-bitmap-remove': { arguments: BlockDirtyBitmapClearArguments; return: Empty };
  'block-export-add': { arguments: BlockExportAddArguments; return: Empty };
  'block-export-del': { arguments: BlockExportDelArguments; return: Empty };
  'block-job-cancel': { arguments: BlockJobCancelArguments; return: Empty };
  'block-job-change': { arguments: BlockJobChangeArguments; return: Empty };
  /** @deprecated by QEMU */
  'block-job-complete': { arguments: BlockJobCompleteArguments; return: Empty };
  /** @deprecated by QEMU */
  'block-job-dismiss': { arguments: BlockJobDismissArguments; return: Empty };
  /** @deprecated by QEMU */
  'block-job-finalize': { arguments: BlockJobFinalizeArguments; return: Empty };
  /** @deprecated by QEMU */
  'block-job-pause': { arguments: BlockJobPauseArguments; return: Empty };
  /** @deprecated by QEMU */
  'block-job-resume': { arguments: BlockJobResumeArguments; return: Empty };
  'block-job-set-speed': { arguments: BlockJobSetSpeedArguments; return: Empty };
  'block-latency-histogram-set': { arguments: BlockLatencyHistogramSetArguments; return: Empty };
  'block-set-write-threshold': { arguments: BlockSetWriteThresholdArguments; return: Empty };
  'block-stream': { arguments: BlockStreamArguments; return: Empty };
  block_resize: { arguments: BlockResizeArguments; return: Empty };
  block_set_io_throttle: { arguments: BlockSetIoThrottleArguments; return: Empty };
  'blockdev-add': { arguments: BlockdevAddArguments; return: Empty };
  'blockdev-backup': { arguments: BlockdevBackupArguments; return: Empty };
  'blockdev-change-medium': { arguments: BlockdevChangeMediumArguments; return: Empty };
  'blockdev-close-tray': { arguments: BlockdevCloseTrayArguments; return: Empty };
  'blockdev-create': { arguments: BlockdevCreateArguments; return: Empty };
  'blockdev-del': { arguments: BlockdevDelArguments; return: Empty };
  'blockdev-insert-medium': { arguments: BlockdevInsertMediumArguments; return: Empty };
  'blockdev-mirror': { arguments: BlockdevMirrorArguments; return: Empty };
  'blockdev-open-tray': { arguments: BlockdevOpenTrayArguments; return: Empty };
  'blockdev-remove-medium': { arguments: BlockdevRemoveMediumArguments; return: Empty };
  'blockdev-reopen': { arguments: BlockdevReopenArguments; return: Empty };
  'blockdev-set-active': { arguments: BlockdevSetActiveArguments; return: Empty };
  'blockdev-snapshot': { arguments: BlockdevSnapshotArguments; return: Empty };
  'blockdev-snapshot-delete-internal-sync': {
    arguments: BlockdevSnapshotDeleteInternalSyncArguments;
    return: BlockdevSnapshotDeleteInternalSyncReturn;
  };
  'blockdev-snapshot-internal-sync': {
    arguments: BlockdevSnapshotInternalSyncArguments;
    return: Empty;
  };
  'blockdev-snapshot-sync': { arguments: BlockdevSnapshotSyncArguments; return: Empty };
  'calc-dirty-rate': { arguments: CalcDirtyRateArguments; return: Empty };
  'cancel-vcpu-dirty-limit': { arguments: CancelVcpuDirtyLimitArguments; return: Empty };
  'change-backing-file': { arguments: ChangeBackingFileArguments; return: Empty };
  'change-vnc-password': { arguments: ChangeVncPasswordArguments; return: Empty };
  'chardev-add': { arguments: ChardevAddArguments; return: ChardevAddReturn };
  'chardev-change': { arguments: ChardevChangeArguments; return: ChardevAddReturn };
  'chardev-remove': { arguments: ChardevRemoveArguments; return: Empty };
  'chardev-send-break': { arguments: ChardevSendBreakArguments; return: Empty };
  client_migrate_info: { arguments: ClientMigrateInfoArguments; return: Empty };
  closefd: { arguments: ClosefdArguments; return: Empty };
  cont: { arguments: Empty; return: Empty };
  /** Unstable: may change or go. */
  'cxl-add-dynamic-capacity': { arguments: CxlAddDynamicCapacityArguments; return: Empty };
  'cxl-inject-correctable-error': { arguments: CxlInjectCorrectableErrorArguments; return: Empty };
  'cxl-inject-dram-event': { arguments: CxlInjectDramEventArguments; return: Empty };
  'cxl-inject-general-media-event': {
    arguments: CxlInjectGeneralMediaEventArguments;
    return: Empty;
  };
  'cxl-inject-memory-module-event': {
    arguments: CxlInjectMemoryModuleEventArguments;
    return: Empty;
  };
  'cxl-inject-poison': { arguments: CxlInjectPoisonArguments; return: Empty };
  'cxl-inject-uncorrectable-errors': {
    arguments: CxlInjectUncorrectableErrorsArguments;
    return: Empty;
  };
  /** Unstable: may change or go. */
  'cxl-release-dynamic-capacity': { arguments: CxlReleaseDynamicCapacityArguments; return: Empty };
  'device-list-properties': {
    arguments: DeviceListPropertiesArguments;
    return: readonly DeviceListPropertiesReturn[];
  };
  /** Unstable: may change or go. */
  'device-sync-config': { arguments: DeviceSyncConfigArguments; return: Empty };
  device_add: {
    arguments: DeviceAddArguments & { readonly [property: string]: unknown };
    return: Empty;
  };
  device_del: { arguments: DeviceDelArguments; return: Empty };
  'display-reload': { arguments: DisplayReloadArguments; return: Empty };
  'display-update': { arguments: DisplayUpdateArguments; return: Empty };
  /** @deprecated by QEMU */
  'drive-backup': { arguments: DriveBackupArguments; return: Empty };
  'drive-mirror': { arguments: DriveMirrorArguments; return: Empty };
  'dump-guest-memory': { arguments: DumpGuestMemoryArguments; return: Empty };
  'dump-skeys': { arguments: DumpSkeysArguments; return: Empty };
  dumpdtb: { arguments: DumpdtbArguments; return: Empty };
  eject: { arguments: EjectArguments; return: Empty };
  expire_password: { arguments: ExpirePasswordArguments; return: Empty };
  getfd: { arguments: GetfdArguments; return: Empty };
  'human-monitor-command': { arguments: HumanMonitorCommandArguments; return: string };
  /** Unstable: may change or go. */
  'inject-ghes-v2-error': { arguments: InjectGhesV2ErrorArguments; return: Empty };
  'inject-nmi': { arguments: Empty; return: Empty };
  'input-send-event': { arguments: InputSendEventArguments; return: Empty };
  'job-cancel': { arguments: JobCancelArguments; return: Empty };
  'job-complete': { arguments: JobCompleteArguments; return: Empty };
  'job-dismiss': { arguments: JobDismissArguments; return: Empty };
  'job-finalize': { arguments: JobFinalizeArguments; return: Empty };
  'job-pause': { arguments: JobPauseArguments; return: Empty };
  'job-resume': { arguments: JobResumeArguments; return: Empty };
  memsave: { arguments: MemsaveArguments; return: Empty };
  migrate: { arguments: MigrateArguments; return: Empty };
  'migrate-continue': { arguments: MigrateContinueArguments; return: Empty };
  'migrate-incoming': { arguments: MigrateIncomingArguments; return: Empty };
  /** Can be executed out-of-band. */
  'migrate-pause': { arguments: Empty; return: Empty };
  /** Can be executed out-of-band. */
  'migrate-recover': { arguments: MigrateRecoverArguments; return: Empty };
  'migrate-set-capabilities': { arguments: MigrateSetCapabilitiesArguments; return: Empty };
  'migrate-set-parameters': { arguments: MigrateSetParametersArguments; return: Empty };
  'migrate-start-postcopy': { arguments: Empty; return: Empty };
  migrate_cancel: { arguments: Empty; return: Empty };
  /** @deprecated by QEMU */
  'nbd-server-add': { arguments: NbdServerAddArguments; return: Empty };
  /** @deprecated by QEMU */
  'nbd-server-remove': { arguments: NbdServerRemoveArguments; return: Empty };
  'nbd-server-start': { arguments: NbdServerStartArguments; return: Empty };
  'nbd-server-stop': { arguments: Empty; return: Empty };
  netdev_add: { arguments: NetdevAddArguments; return: Empty };
  netdev_del: { arguments: NetdevDelArguments; return: Empty };
  'object-add': { arguments: ObjectAddArguments; return: Empty };
  'object-del': { arguments: ObjectDelArguments; return: Empty };
  pmemsave: { arguments: PmemsaveArguments; return: Empty };
  qmp_capabilities: { arguments: QmpCapabilitiesArguments; return: Empty };
  'qom-get': { arguments: QomGetArguments; return: unknown };
  'qom-list': { arguments: QomListArguments; return: readonly DeviceListPropertiesReturn[] };
  'qom-list-get': { arguments: QomListGetArguments; return: readonly QomListGetReturn[] };
  'qom-list-properties': {
    arguments: QomListPropertiesArguments;
    return: readonly DeviceListPropertiesReturn[];
  };
  'qom-list-types': { arguments: QomListTypesArguments; return: readonly QomListTypesReturn[] };
  'qom-set': { arguments: QomSetArguments; return: Empty };
  'query-accelerators': { arguments: Empty; return: QueryAcceleratorsReturn };
  'query-acpi-ospm-status': { arguments: Empty; return: readonly QueryAcpiOspmStatusReturn[] };
  'query-audiodevs': { arguments: Empty; return: readonly QueryAudiodevsReturn[] };
  'query-balloon': { arguments: Empty; return: QueryBalloonReturn };
  'query-block': { arguments: QueryBlockArguments; return: readonly QueryBlockReturn[] };
  'query-block-exports': { arguments: Empty; return: readonly QueryBlockExportsReturn[] };
  'query-block-jobs': { arguments: Empty; return: readonly QueryBlockJobsReturn[] };
  'query-blockstats': {
    arguments: QueryBlockstatsArguments;
    return: readonly QueryBlockstatsReturn[];
  };
  'query-chardev': { arguments: Empty; return: readonly QueryChardevReturn[] };
  'query-chardev-backends': { arguments: Empty; return: readonly QueryChardevBackendsReturn[] };
  'query-colo-status': { arguments: Empty; return: QueryColoStatusReturn };
  'query-command-line-options': {
    arguments: QueryCommandLineOptionsArguments;
    return: readonly QueryCommandLineOptionsReturn[];
  };
  'query-commands': { arguments: Empty; return: readonly QueryCommandsReturn[] };
  'query-cpu-definitions': { arguments: Empty; return: readonly QueryCpuDefinitionsReturn[] };
  'query-cpu-model-baseline': {
    arguments: QueryCpuModelBaselineArguments;
    return: QueryCpuModelBaselineReturn;
  };
  'query-cpu-model-comparison': {
    arguments: QueryCpuModelComparisonArguments;
    return: QueryCpuModelComparisonReturn;
  };
  'query-cpu-model-expansion': {
    arguments: QueryCpuModelExpansionArguments;
    return: QueryCpuModelExpansionReturn;
  };
  'query-cpus-fast': { arguments: Empty; return: readonly QueryCpusFastReturn[] };
  'query-cryptodev': { arguments: Empty; return: readonly QueryCryptodevReturn[] };
  'query-current-machine': { arguments: Empty; return: QueryCurrentMachineReturn };
  'query-dirty-rate': { arguments: QueryDirtyRateArguments; return: QueryDirtyRateReturn };
  'query-display-options': { arguments: Empty; return: QueryDisplayOptionsReturn };
  'query-dump': { arguments: Empty; return: QueryDumpReturn };
  'query-dump-guest-memory-capability': {
    arguments: Empty;
    return: QueryDumpGuestMemoryCapabilityReturn;
  };
  'query-fdsets': { arguments: Empty; return: readonly QueryFdsetsReturn[] };
  'query-firmware-log': { arguments: QueryFirmwareLogArguments; return: QueryFirmwareLogReturn };
  'query-gic-capabilities': { arguments: Empty; return: readonly QueryGicCapabilitiesReturn[] };
  'query-hotpluggable-cpus': { arguments: Empty; return: readonly QueryHotpluggableCpusReturn[] };
  'query-hv-balloon-status-report': { arguments: Empty; return: QueryHvBalloonStatusReportReturn };
  'query-iothreads': { arguments: Empty; return: readonly QueryIothreadsReturn[] };
  'query-jobs': { arguments: Empty; return: readonly QueryJobsReturn[] };
  /** @deprecated by QEMU */
  'query-kvm': { arguments: Empty; return: QueryKvmReturn };
  'query-machines': { arguments: QueryMachinesArguments; return: readonly QueryMachinesReturn[] };
  'query-memdev': { arguments: Empty; return: readonly QueryMemdevReturn[] };
  'query-memory-devices': { arguments: Empty; return: readonly QueryMemoryDevicesReturn[] };
  'query-memory-size-summary': { arguments: Empty; return: QueryMemorySizeSummaryReturn };
  'query-mice': { arguments: Empty; return: readonly QueryMiceReturn[] };
  'query-migrate': { arguments: Empty; return: QueryMigrateReturn };
  'query-migrate-capabilities': {
    arguments: Empty;
    return: readonly QueryMigrateCapabilitiesReturn[];
  };
  'query-migrate-parameters': { arguments: Empty; return: MigrateSetParametersArguments };
  'query-name': { arguments: Empty; return: QueryNameReturn };
  'query-named-block-nodes': {
    arguments: QueryNamedBlockNodesArguments;
    return: readonly QueryNamedBlockNodesReturn[];
  };
  'query-pci': { arguments: Empty; return: readonly QueryPciReturn[] };
  'query-pr-managers': { arguments: Empty; return: readonly QueryPrManagersReturn[] };
  'query-qmp-schema': { arguments: Empty; return: readonly QueryQmpSchemaReturn[] };
  'query-replay': { arguments: Empty; return: QueryReplayReturn };
  'query-rocker': { arguments: QueryRockerArguments; return: QueryRockerReturn };
  'query-rocker-of-dpa-flows': {
    arguments: QueryRockerOfDpaFlowsArguments;
    return: readonly QueryRockerOfDpaFlowsReturn[];
  };
  'query-rocker-of-dpa-groups': {
    arguments: QueryRockerOfDpaGroupsArguments;
    return: readonly QueryRockerOfDpaGroupsReturn[];
  };
  'query-rocker-ports': {
    arguments: QueryRockerPortsArguments;
    return: readonly QueryRockerPortsReturn[];
  };
  'query-rx-filter': { arguments: QueryRxFilterArguments; return: readonly QueryRxFilterReturn[] };
  /** Unstable: may change or go. */
  'query-s390x-cpu-polarization': { arguments: Empty; return: QueryS390xCpuPolarizationReturn };
  'query-sev': { arguments: Empty; return: QuerySevReturn };
  'query-sev-attestation-report': {
    arguments: QuerySevAttestationReportArguments;
    return: QuerySevAttestationReportReturn;
  };
  'query-sev-capabilities': { arguments: Empty; return: QuerySevCapabilitiesReturn };
  'query-sev-launch-measure': { arguments: Empty; return: QuerySevLaunchMeasureReturn };
  'query-sgx': { arguments: Empty; return: QuerySgxReturn };
  'query-sgx-capabilities': { arguments: Empty; return: QuerySgxReturn };
  'query-spice': { arguments: Empty; return: QuerySpiceReturn };
  'query-stats': { arguments: QueryStatsArguments; return: readonly QueryStatsReturn[] };
  'query-stats-schemas': {
    arguments: QueryStatsSchemasArguments;
    return: readonly QueryStatsSchemasReturn[];
  };
  'query-status': { arguments: Empty; return: QueryStatusReturn };
  'query-target': { arguments: Empty; return: QueryTargetReturn };
  'query-tpm': { arguments: Empty; return: readonly QueryTpmReturn[] };
  'query-tpm-models': { arguments: Empty; return: readonly QueryTpmModelsReturn[] };
  'query-tpm-types': { arguments: Empty; return: readonly QueryTpmTypesReturn[] };
  'query-uuid': { arguments: Empty; return: QueryUuidReturn };
  'query-vcpu-dirty-limit': { arguments: Empty; return: readonly QueryVcpuDirtyLimitReturn[] };
  'query-version': { arguments: Empty; return: QueryVersionReturn };
  'query-vm-generation-id': { arguments: Empty; return: QueryVmGenerationIdReturn };
  'query-vnc': { arguments: Empty; return: QueryVncReturn };
  'query-vnc-servers': { arguments: Empty; return: readonly QueryVncServersReturn[] };
  'query-xen-replication-status': { arguments: Empty; return: QueryXenReplicationStatusReturn };
  /** Can be executed out-of-band. */
  'query-yank': { arguments: Empty; return: readonly QueryYankReturn[] };
  quit: { arguments: Empty; return: Empty };
  'remove-fd': { arguments: RemoveFdArguments; return: Empty };
  'replay-break': { arguments: ReplayBreakArguments; return: Empty };
  'replay-delete-break': { arguments: Empty; return: Empty };
  'replay-seek': { arguments: ReplaySeekArguments; return: Empty };
  'request-ebpf': { arguments: RequestEbpfArguments; return: RequestEbpfReturn };
  'ringbuf-read': { arguments: RingbufReadArguments; return: string };
  'ringbuf-write': { arguments: RingbufWriteArguments; return: Empty };
  'rtc-reset-reinjection': { arguments: Empty; return: Empty };
  screendump: { arguments: ScreendumpArguments; return: Empty };
  'send-key': { arguments: SendKeyArguments; return: Empty };
  'set-action': { arguments: SetActionArguments; return: Empty };
  /** Unstable: may change or go. */
  'set-cpu-topology': { arguments: SetCpuTopologyArguments; return: Empty };
  'set-numa-node': { arguments: SetNumaNodeArguments; return: Empty };
  'set-vcpu-dirty-limit': { arguments: SetVcpuDirtyLimitArguments; return: Empty };
  set_link: { arguments: SetLinkArguments; return: Empty };
  set_password: { arguments: SetPasswordArguments; return: Empty };
  'sev-inject-launch-secret': { arguments: SevInjectLaunchSecretArguments; return: Empty };
  'snapshot-delete': { arguments: SnapshotDeleteArguments; return: Empty };
  'snapshot-load': { arguments: SnapshotLoadArguments; return: Empty };
  'snapshot-save': { arguments: SnapshotSaveArguments; return: Empty };
  stop: { arguments: Empty; return: Empty };
  system_powerdown: { arguments: Empty; return: Empty };
  system_reset: { arguments: Empty; return: Empty };
  system_wakeup: { arguments: Empty; return: Empty };
  'trace-event-get-state': {
    arguments: TraceEventGetStateArguments;
    return: readonly TraceEventGetStateReturn[];
  };
  'trace-event-set-state': { arguments: TraceEventSetStateArguments; return: Empty };
  transaction: { arguments: TransactionArguments; return: Empty };
  'watchdog-set-action': { arguments: WatchdogSetActionArguments; return: Empty };
  /** Unstable: may change or go. */
  'x-accel-stats': { arguments: Empty; return: XAccelStatsReturn };
  /** Unstable: may change or go. */
  'x-blockdev-amend': { arguments: XBlockdevAmendArguments; return: Empty };
  /** Unstable: may change or go. */
  'x-blockdev-change': { arguments: XBlockdevChangeArguments; return: Empty };
  /** Unstable: may change or go. */
  'x-blockdev-set-iothread': { arguments: XBlockdevSetIothreadArguments; return: Empty };
  /** Unstable: may change or go. */
  'x-colo-lost-heartbeat': { arguments: Empty; return: Empty };
  /** Unstable: may change or go. */
  'x-debug-block-dirty-bitmap-sha256': {
    arguments: BlockDirtyBitmapClearArguments;
    return: XDebugBlockDirtyBitmapSha256Return;
  };
  /** Unstable: may change or go. */
  'x-debug-query-block-graph': { arguments: Empty; return: XDebugQueryBlockGraphReturn };
  /** Unstable: may change or go. */
  'x-exit-preconfig': { arguments: Empty; return: Empty };
  /** Unstable: may change or go. */
  'x-query-interrupt-controllers': { arguments: Empty; return: XAccelStatsReturn };
  /** Unstable: may change or go. */
  'x-query-irq': { arguments: Empty; return: XAccelStatsReturn };
  /** Unstable: may change or go. */
  'x-query-jit': { arguments: Empty; return: XAccelStatsReturn };
  /** Unstable: may change or go. */
  'x-query-numa': { arguments: Empty; return: XAccelStatsReturn };
  /** Unstable: may change or go. */
  'x-query-ramblock': { arguments: Empty; return: XAccelStatsReturn };
  /** Unstable: may change or go. */
  'x-query-roms': { arguments: Empty; return: XAccelStatsReturn };
  /** Unstable: may change or go. */
  'x-query-usb': { arguments: Empty; return: XAccelStatsReturn };
  /** Unstable: may change or go. */
  'x-query-virtio': { arguments: Empty; return: readonly XQueryVirtioReturn[] };
  /** Unstable: may change or go. */
  'x-query-virtio-queue-element': {
    arguments: XQueryVirtioQueueElementArguments;
    return: XQueryVirtioQueueElementReturn;
  };
  /** Unstable: may change or go. */
  'x-query-virtio-queue-status': {
    arguments: XQueryVirtioQueueStatusArguments;
    return: XQueryVirtioQueueStatusReturn;
  };
  /** Unstable: may change or go. */
  'x-query-virtio-status': {
    arguments: XQueryVirtioStatusArguments;
    return: XQueryVirtioStatusReturn;
  };
  /** Unstable: may change or go. */
  'x-query-virtio-vhost-queue-status': {
    arguments: XQueryVirtioVhostQueueStatusArguments;
    return: XQueryVirtioVhostQueueStatusReturn;
  };
  'xen-colo-do-checkpoint': { arguments: Empty; return: Empty };
  'xen-event-inject': { arguments: XenEventInjectArguments; return: Empty };
  'xen-event-list': { arguments: Empty; return: readonly XenEventListReturn[] };
  'xen-load-devices-state': { arguments: XenLoadDevicesStateArguments; return: Empty };
  'xen-save-devices-state': { arguments: XenSaveDevicesStateArguments; return: Empty };
  'xen-set-global-dirty-log': { arguments: XenSetGlobalDirtyLogArguments; return: Empty };
  'xen-set-replication': { arguments: XenSetReplicationArguments; return: Empty };
  /** Can be executed out-of-band. */
  yank: { arguments: YankArguments; return: Empty };
}

/** Data of each event; undefined where it has none. */
export interface Events {
  ACPI_DEVICE_OST: AcpiDeviceOstData;
  BALLOON_CHANGE: BalloonChangeData;
  BLOCK_EXPORT_DELETED: BlockExportDeletedData;
  BLOCK_IMAGE_CORRUPTED: BlockImageCorruptedData;
  BLOCK_IO_ERROR: BlockIoErrorData;
  BLOCK_JOB_CANCELLED: BlockJobCancelledData;
  BLOCK_JOB_COMPLETED: BlockJobCompletedData;
  BLOCK_JOB_ERROR: BlockJobErrorData;
  BLOCK_JOB_PENDING: BlockJobPendingData;
  BLOCK_JOB_READY: BlockJobReadyData;
  BLOCK_WRITE_THRESHOLD: BlockWriteThresholdData;
  COLO_EXIT: ColoExitData;
  /** Unstable: may change or go. */
  CPU_POLARIZATION_CHANGE: CpuPolarizationChangeData;
  DEVICE_DELETED: DeviceDeletedData;
  DEVICE_TRAY_MOVED: DeviceTrayMovedData;
  DEVICE_UNPLUG_GUEST_ERROR: DeviceUnplugGuestErrorData;
  DUMP_COMPLETED: DumpCompletedData;
  FAILOVER_NEGOTIATED: FailoverNegotiatedData;
  GUEST_CRASHLOADED: GuestCrashloadedData;
  GUEST_PANICKED: GuestPanickedData;
  GUEST_PVSHUTDOWN: undefined;
  HV_BALLOON_STATUS_REPORT: QueryHvBalloonStatusReportReturn;
  JOB_STATUS_CHANGE: JobStatusChangeData;
  MEMORY_DEVICE_SIZE_CHANGE: MemoryDeviceSizeChangeData;
  MEMORY_FAILURE: MemoryFailureData;
  MIGRATION: MigrationData;
  MIGRATION_PASS: MigrationPassData;
  NETDEV_STREAM_CONNECTED: NetdevStreamConnectedData;
  NETDEV_STREAM_DISCONNECTED: NetdevStreamDisconnectedData;
  NETDEV_VHOST_USER_CONNECTED: NetdevVhostUserConnectedData;
  NETDEV_VHOST_USER_DISCONNECTED: NetdevVhostUserDisconnectedData;
  NIC_RX_FILTER_CHANGED: NicRxFilterChangedData;
  POWERDOWN: undefined;
  PR_MANAGER_STATUS_CHANGED: PrManagerStatusChangedData;
  QUORUM_FAILURE: QuorumFailureData;
  QUORUM_REPORT_BAD: QuorumReportBadData;
  RESET: ResetData;
  RESUME: undefined;
  RTC_CHANGE: RtcChangeData;
  /** Unstable: may change or go. */
  SCLP_CPI_INFO_AVAILABLE: undefined;
  SHUTDOWN: ShutdownData;
  SPICE_CONNECTED: SpiceConnectedData;
  SPICE_DISCONNECTED: SpiceDisconnectedData;
  SPICE_INITIALIZED: SpiceInitializedData;
  SPICE_MIGRATE_COMPLETED: undefined;
  STOP: undefined;
  SUSPEND: undefined;
  SUSPEND_DISK: undefined;
  UNPLUG_PRIMARY: UnplugPrimaryData;
  VFIO_MIGRATION: VfioMigrationData;
  VFU_CLIENT_HANGUP: VfuClientHangupData;
  VNC_CONNECTED: VncConnectedData;
  VNC_DISCONNECTED: VncDisconnectedData;
  VNC_INITIALIZED: VncInitializedData;
  VSERPORT_CHANGE: VserportChangeData;
  WAKEUP: undefined;
  WATCHDOG: WatchdogData;
}

export interface AddFdArguments {
  readonly 'fdset-id'?: number;
  readonly opaque?: string;
}

export interface AddFdReturn {
  readonly 'fdset-id': number;
  readonly fd: number;
}

export interface AddClientArguments {
  readonly protocol: string;
  readonly fdname: string;
  readonly skipauth?: boolean;
  readonly tls?: boolean;
}

export interface AnnounceSelfArguments {
  readonly initial: number;
  readonly max: number;
  readonly rounds: number;
  readonly step: number;
  readonly interfaces?: readonly string[];
  readonly id?: string;
}

export interface BalloonArguments {
  readonly value: number;
}

export interface BlockCommitArguments {
  readonly 'job-id'?: string;
  readonly device: string;
  readonly 'base-node'?: string;
  /** @deprecated by QEMU */
  readonly base?: string;
  readonly 'top-node'?: string;
  /** @deprecated by QEMU */
  readonly top?: string;
  readonly 'backing-file'?: string;
  readonly 'backing-mask-protocol'?: boolean;
  readonly speed?: number;
  readonly 'on-error'?: BlockCommitOnError;
  readonly 'filter-node-name'?: string;
  readonly 'auto-finalize'?: boolean;
  readonly 'auto-dismiss'?: boolean;
}

export interface BlockDirtyBitmapAddArguments {
  readonly node: string;
  readonly name: string;
  readonly granularity?: number;
  readonly persistent?: boolean;
  readonly disabled?: boolean;
}

export interface BlockDirtyBitmapClearArguments {
  readonly node: string;
  readonly name: string;
}

export interface BlockDirtyBitmapMergeArguments {
  readonly node: string;
  readonly target: string;
  readonly bitmaps: readonly BlockDirtyBitmapMergeBitmaps[];
}

export type BlockExportAddArguments = {
  readonly id: string;
  readonly 'fixed-iothread'?: boolean;
  readonly iothread?: BlockExportAddIothread;
  readonly 'node-name': string;
  readonly writable?: boolean;
  readonly writethrough?: boolean;
  readonly 'allow-inactive'?: boolean;
} & (
  | ({ readonly type: 'nbd' } & BlockExportAddNbd)
  | ({ readonly type: 'vhost-user-blk' } & VhostUserBlk)
  | ({ readonly type: 'fuse' } & Fuse)
  | ({ readonly type: 'vduse-blk' } & VduseBlk)
);

export interface BlockExportDelArguments {
  readonly id: string;
  readonly mode?: BlockExportDelMode;
}

export interface BlockJobCancelArguments {
  readonly device: string;
  readonly force?: boolean;
}

export type BlockJobChangeArguments = { readonly id: string } & (
  | ({ readonly type: 'mirror' } & BlockJobChangeMirror)
  | {
      readonly type:
        | 'commit'
        | 'stream'
        | 'backup'
        | 'create'
        | 'amend'
        | 'snapshot-load'
        | 'snapshot-save'
        | 'snapshot-delete';
    }
);

export interface BlockJobCompleteArguments {
  readonly device: string;
}

export interface BlockJobDismissArguments {
  readonly id: string;
}

export interface BlockJobFinalizeArguments {
  readonly id: string;
}

export interface BlockJobPauseArguments {
  readonly device: string;
}

export interface BlockJobResumeArguments {
  readonly device: string;
}

export interface BlockJobSetSpeedArguments {
  readonly device: string;
  readonly speed: number;
}

export interface BlockLatencyHistogramSetArguments {
  readonly id: string;
  readonly boundaries?: readonly number[];
  readonly 'boundaries-read'?: readonly number[];
  readonly 'boundaries-write'?: readonly number[];
  readonly 'boundaries-zap'?: readonly number[];
  readonly 'boundaries-flush'?: readonly number[];
}

export interface BlockSetWriteThresholdArguments {
  readonly 'node-name': string;
  readonly 'write-threshold': number;
}

export interface BlockStreamArguments {
  readonly 'job-id'?: string;
  readonly device: string;
  readonly base?: string;
  readonly 'base-node'?: string;
  readonly 'backing-file'?: string;
  readonly 'backing-mask-protocol'?: boolean;
  readonly bottom?: string;
  readonly speed?: number;
  readonly 'on-error'?: BlockCommitOnError;
  readonly 'filter-node-name'?: string;
  readonly 'auto-finalize'?: boolean;
  readonly 'auto-dismiss'?: boolean;
}

export interface BlockResizeArguments {
  readonly device?: string;
  readonly 'node-name'?: string;
  readonly size: number;
}

export interface BlockSetIoThrottleArguments {
  /** @deprecated by QEMU */
  readonly device?: string;
  readonly id?: string;
  readonly bps: number;
  readonly bps_rd: number;
  readonly bps_wr: number;
  readonly iops: number;
  readonly iops_rd: number;
  readonly iops_wr: number;
  readonly bps_max?: number;
  readonly bps_rd_max?: number;
  readonly bps_wr_max?: number;
  readonly iops_max?: number;
  readonly iops_rd_max?: number;
  readonly iops_wr_max?: number;
  readonly bps_max_length?: number;
  readonly bps_rd_max_length?: number;
  readonly bps_wr_max_length?: number;
  readonly iops_max_length?: number;
  readonly iops_rd_max_length?: number;
  readonly iops_wr_max_length?: number;
  readonly iops_size?: number;
  readonly group?: string;
}

export type BlockdevAddArguments = {
  readonly 'node-name'?: string;
  readonly discard?: Discard;
  readonly cache?: BlockdevAddCache;
  readonly active?: boolean;
  readonly 'read-only'?: boolean;
  readonly 'auto-read-only'?: boolean;
  readonly 'force-share'?: boolean;
  readonly 'detect-zeroes'?: DetectZeroes;
} & (
  | ({ readonly driver: 'blkdebug' } & Blkdebug)
  | ({ readonly driver: 'blklogwrites' } & Blklogwrites)
  | ({ readonly driver: 'blkverify' } & Blkverify)
  | ({ readonly driver: 'blkreplay' } & Blkreplay)
  | ({
      readonly driver:
        | 'bochs'
        | 'cloop'
        | 'compress'
        | 'dmg'
        | 'parallels'
        | 'snapshot-access'
        | 'vdi'
        | 'vhdx'
        | 'vpc';
    } & BlockdevAddBochs)
  | ({ readonly driver: 'copy-before-write' } & CopyBeforeWrite)
  | ({ readonly driver: 'copy-on-read' } & CopyOnRead)
  | ({ readonly driver: 'file' | 'host_cdrom' | 'host_device' } & BlockdevAddFile)
  | ({ readonly driver: 'ftp' } & Ftp)
  | ({ readonly driver: 'ftps' } & Ftps)
  | ({ readonly driver: 'http' } & Http)
  | ({ readonly driver: 'https' } & Https)
  | ({ readonly driver: 'io_uring' } & IoUring)
  | ({ readonly driver: 'iscsi' } & Iscsi)
  | ({ readonly driver: 'luks' } & BlockdevAddLuks)
  | ({ readonly driver: 'nbd' } & BlockdevAddNbd)
  | ({ readonly driver: 'nfs' } & BlockdevAddNfs)
  | ({ readonly driver: 'null-aio' | 'null-co' } & BlockdevAddNullAio)
  | ({ readonly driver: 'nvme' } & BlockdevAddNvme)
  | ({ readonly driver: 'nvme-io_uring' } & NvmeIoUring)
  | ({ readonly driver: 'preallocate' } & Preallocate)
  | ({ readonly driver: 'qcow2' } & BlockdevAddQcow2)
  | ({ readonly driver: 'qcow' } & BlockdevAddQcow)
  | ({ readonly driver: 'qed' | 'vmdk' } & BlockdevAddQed)
  | ({ readonly driver: 'quorum' } & Quorum)
  | ({ readonly driver: 'raw' } & BlockdevAddRaw)
  | ({ readonly driver: 'rbd' } & BlockdevAddRbd)
  | ({ readonly driver: 'replication' } & Replication)
  | ({ readonly driver: 'ssh' } & BlockdevAddSsh)
  | ({ readonly driver: 'throttle' } & Throttle)
  | ({ readonly driver: 'virtio-blk-vfio-pci' } & VirtioBlkVfioPci)
  | ({ readonly driver: 'virtio-blk-vhost-user' } & VirtioBlkVhostUser)
  | ({ readonly driver: 'virtio-blk-vhost-vdpa' } & VirtioBlkVhostVdpa)
  | ({ readonly driver: 'vvfat' } & Vvfat)
);

export interface BlockdevBackupArguments {
  readonly 'job-id'?: string;
  readonly device: string;
  readonly sync: Sync;
  readonly speed?: number;
  readonly bitmap?: string;
  readonly 'bitmap-mode'?: BitmapMode;
  readonly compress?: boolean;
  readonly 'on-source-error'?: BlockCommitOnError;
  readonly 'on-target-error'?: BlockCommitOnError;
  readonly 'on-cbw-error'?: OnCbwError;
  readonly 'auto-finalize'?: boolean;
  readonly 'auto-dismiss'?: boolean;
  readonly 'filter-node-name'?: string;
  readonly 'discard-source'?: boolean;
  /** Unstable: may change or go. */
  readonly 'x-perf'?: XPerf;
  readonly target: string;
}

export interface BlockdevChangeMediumArguments {
  /** @deprecated by QEMU */
  readonly device?: string;
  readonly id?: string;
  readonly filename: string;
  readonly format?: string;
  readonly force?: boolean;
  readonly 'read-only-mode'?: ReadOnlyMode;
}

export interface BlockdevCloseTrayArguments {
  /** @deprecated by QEMU */
  readonly device?: string;
  readonly id?: string;
}

export interface BlockdevCreateArguments {
  readonly 'job-id': string;
  readonly options: BlockdevCreateOptions;
}

export interface BlockdevDelArguments {
  readonly 'node-name': string;
}

export interface BlockdevInsertMediumArguments {
  readonly id: string;
  readonly 'node-name': string;
}

export interface BlockdevMirrorArguments {
  readonly 'job-id'?: string;
  readonly device: string;
  readonly target: string;
  readonly replaces?: string;
  readonly sync: Sync;
  readonly speed?: number;
  readonly granularity?: number;
  readonly 'buf-size'?: number;
  readonly 'on-source-error'?: BlockCommitOnError;
  readonly 'on-target-error'?: BlockCommitOnError;
  readonly 'filter-node-name'?: string;
  readonly 'copy-mode'?: CopyMode;
  readonly 'auto-finalize'?: boolean;
  readonly 'auto-dismiss'?: boolean;
  readonly 'target-is-zero'?: boolean;
}

export interface BlockdevOpenTrayArguments {
  /** @deprecated by QEMU */
  readonly device?: string;
  readonly id?: string;
  readonly force?: boolean;
}

export interface BlockdevRemoveMediumArguments {
  readonly id: string;
}

export interface BlockdevReopenArguments {
  readonly options: readonly BlockdevAddArguments[];
}

export interface BlockdevSetActiveArguments {
  readonly 'node-name'?: string;
  readonly active: boolean;
}

export interface BlockdevSnapshotArguments {
  readonly node: string;
  readonly overlay: string;
}

export interface BlockdevSnapshotDeleteInternalSyncArguments {
  readonly device: string;
  readonly id?: string;
  readonly name?: string;
}

export interface BlockdevSnapshotDeleteInternalSyncReturn {
  readonly id: string;
  readonly name: string;
  readonly 'vm-state-size': number;
  readonly 'date-sec': number;
  readonly 'date-nsec': number;
  readonly 'vm-clock-sec': number;
  readonly 'vm-clock-nsec': number;
  readonly icount?: number;
}

export interface BlockdevSnapshotInternalSyncArguments {
  readonly device: string;
  readonly name: string;
}

export interface BlockdevSnapshotSyncArguments {
  readonly device?: string;
  readonly 'node-name'?: string;
  readonly 'snapshot-file': string;
  readonly 'snapshot-node-name'?: string;
  readonly format?: string;
  readonly mode?: BlockdevSnapshotSyncMode;
}

export interface CalcDirtyRateArguments {
  readonly 'calc-time': number;
  readonly 'calc-time-unit'?: CalcTimeUnit;
  readonly 'sample-pages'?: number;
  readonly mode?: CalcDirtyRateMode;
}

export interface CancelVcpuDirtyLimitArguments {
  readonly 'cpu-index'?: number;
}

export interface ChangeBackingFileArguments {
  readonly device: string;
  readonly 'image-node-name': string;
  readonly 'backing-file': string;
}

export interface ChangeVncPasswordArguments {
  readonly password: string;
}

export interface ChardevAddArguments {
  readonly id: string;
  readonly backend: Backend;
}

export interface ChardevAddReturn {
  readonly pty?: string;
}

export interface ChardevChangeArguments {
  readonly id: string;
  readonly backend: Backend;
}

export interface ChardevRemoveArguments {
  readonly id: string;
}

export interface ChardevSendBreakArguments {
  readonly id: string;
}

export interface ClientMigrateInfoArguments {
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly 'tls-port'?: number;
  readonly 'cert-subject'?: string;
}

export interface ClosefdArguments {
  readonly fdname: string;
}

export interface CxlAddDynamicCapacityArguments {
  readonly path: string;
  readonly 'host-id': number;
  readonly 'selection-policy': SelectionPolicy;
  readonly region: number;
  readonly tag?: string;
  readonly extents: readonly CxlAddDynamicCapacityExtents[];
}

export interface CxlInjectCorrectableErrorArguments {
  readonly path: string;
  readonly type: CxlInjectCorrectableErrorType;
}

export interface CxlInjectDramEventArguments {
  readonly path: string;
  readonly log: CxlInjectDramEventLog;
  readonly flags: number;
  readonly 'maint-op-class'?: number;
  readonly 'maint-op-subclass'?: number;
  readonly 'ld-id'?: number;
  readonly 'head-id'?: number;
  readonly dpa: number;
  readonly descriptor: number;
  readonly type: number;
  readonly 'transaction-type': number;
  readonly channel?: number;
  readonly rank?: number;
  readonly 'nibble-mask'?: number;
  readonly 'bank-group'?: number;
  readonly bank?: number;
  readonly row?: number;
  readonly column?: number;
  readonly 'correction-mask'?: readonly number[];
  readonly 'component-id'?: string;
  readonly 'is-comp-id-pldm'?: boolean;
  readonly 'sub-channel'?: number;
  readonly 'cme-ev-flags'?: number;
  readonly 'cvme-count'?: number;
  readonly 'sub-type': number;
}

export interface CxlInjectGeneralMediaEventArguments {
  readonly path: string;
  readonly log: CxlInjectDramEventLog;
  readonly flags: number;
  readonly 'maint-op-class'?: number;
  readonly 'maint-op-subclass'?: number;
  readonly 'ld-id'?: number;
  readonly 'head-id'?: number;
  readonly dpa: number;
  readonly descriptor: number;
  readonly type: number;
  readonly 'transaction-type': number;
  readonly channel?: number;
  readonly rank?: number;
  readonly device?: number;
  readonly 'component-id'?: string;
  readonly 'is-comp-id-pldm'?: boolean;
  readonly 'cme-ev-flags'?: number;
  readonly 'cme-count'?: number;
  readonly 'sub-type': number;
}

export interface CxlInjectMemoryModuleEventArguments {
  readonly path: string;
  readonly log: CxlInjectDramEventLog;
  readonly flags: number;
  readonly 'maint-op-class'?: number;
  readonly 'maint-op-subclass'?: number;
  readonly 'ld-id'?: number;
  readonly 'head-id'?: number;
  readonly type: number;
  readonly 'health-status': number;
  readonly 'media-status': number;
  readonly 'additional-status': number;
  readonly 'life-used': number;
  readonly temperature: number;
  readonly 'dirty-shutdown-count': number;
  readonly 'corrected-volatile-error-count': number;
  readonly 'corrected-persistent-error-count': number;
  readonly 'component-id'?: string;
  readonly 'is-comp-id-pldm'?: boolean;
  readonly 'sub-type': number;
}

export interface CxlInjectPoisonArguments {
  readonly path: string;
  readonly start: number;
  readonly length: number;
}

export interface CxlInjectUncorrectableErrorsArguments {
  readonly path: string;
  readonly errors: readonly Errors[];
}

export interface CxlReleaseDynamicCapacityArguments {
  readonly path: string;
  readonly 'host-id': number;
  readonly 'removal-policy': RemovalPolicy;
  readonly 'forced-removal'?: boolean;
  readonly 'sanitize-on-release'?: boolean;
  readonly region: number;
  readonly tag?: string;
  readonly extents: readonly CxlAddDynamicCapacityExtents[];
}

export interface DeviceListPropertiesArguments {
  readonly typename: string;
}

export interface DeviceListPropertiesReturn {
  readonly name: string;
  readonly type: string;
  readonly description?: string;
  readonly 'default-value'?: unknown;
}

export interface DeviceSyncConfigArguments {
  readonly id: string;
}

export interface DeviceAddArguments {
  readonly driver: string;
  readonly bus?: string;
  readonly id?: string;
}

export interface DeviceDelArguments {
  readonly id: string;
}

export type DisplayReloadArguments = { readonly type: 'vnc' } & DisplayReloadVnc;

export type DisplayUpdateArguments = { readonly type: 'vnc' } & DisplayUpdateVnc;

export interface DriveBackupArguments {
  readonly 'job-id'?: string;
  readonly device: string;
  readonly sync: Sync;
  readonly speed?: number;
  readonly bitmap?: string;
  readonly 'bitmap-mode'?: BitmapMode;
  readonly compress?: boolean;
  readonly 'on-source-error'?: BlockCommitOnError;
  readonly 'on-target-error'?: BlockCommitOnError;
  readonly 'on-cbw-error'?: OnCbwError;
  readonly 'auto-finalize'?: boolean;
  readonly 'auto-dismiss'?: boolean;
  readonly 'filter-node-name'?: string;
  readonly 'discard-source'?: boolean;
  /** Unstable: may change or go. */
  readonly 'x-perf'?: XPerf;
  readonly target: string;
  readonly format?: string;
  readonly mode?: BlockdevSnapshotSyncMode;
}

export interface DriveMirrorArguments {
  readonly 'job-id'?: string;
  readonly device: string;
  readonly target: string;
  readonly format?: string;
  readonly 'node-name'?: string;
  readonly replaces?: string;
  readonly sync: Sync;
  readonly mode?: BlockdevSnapshotSyncMode;
  readonly speed?: number;
  readonly granularity?: number;
  readonly 'buf-size'?: number;
  readonly 'on-source-error'?: BlockCommitOnError;
  readonly 'on-target-error'?: BlockCommitOnError;
  readonly unmap?: boolean;
  readonly 'copy-mode'?: CopyMode;
  readonly 'auto-finalize'?: boolean;
  readonly 'auto-dismiss'?: boolean;
}

export interface DumpGuestMemoryArguments {
  readonly paging: boolean;
  readonly protocol: string;
  readonly detach?: boolean;
  readonly begin?: number;
  readonly length?: number;
  readonly format?: DumpGuestMemoryFormat;
}

export interface DumpSkeysArguments {
  readonly filename: string;
}

export interface DumpdtbArguments {
  readonly filename: string;
}

export interface EjectArguments {
  /** @deprecated by QEMU */
  readonly device?: string;
  readonly id?: string;
  readonly force?: boolean;
}

export type ExpirePasswordArguments = { readonly time: string } & (
  ({ readonly protocol: 'vnc' } & ExpirePasswordVnc) | { readonly protocol: 'spice' }
);

export interface GetfdArguments {
  readonly fdname: string;
}

export interface HumanMonitorCommandArguments {
  readonly 'command-line': string;
  readonly 'cpu-index'?: number;
}

export interface InjectGhesV2ErrorArguments {
  readonly cper: string;
}

export interface InputSendEventArguments {
  readonly device?: string;
  readonly head?: number;
  readonly events: readonly Events2[];
}

export interface JobCancelArguments {
  readonly id: string;
}

export interface JobCompleteArguments {
  readonly id: string;
}

export interface JobDismissArguments {
  readonly id: string;
}

export interface JobFinalizeArguments {
  readonly id: string;
}

export interface JobPauseArguments {
  readonly id: string;
}

export interface JobResumeArguments {
  readonly id: string;
}

export interface MemsaveArguments {
  readonly val: number;
  readonly size: number;
  readonly filename: string;
  readonly 'cpu-index'?: number;
}

export interface MigrateArguments {
  readonly uri?: string;
  readonly channels?: readonly MigrateChannels[];
  readonly resume?: boolean;
}

export interface MigrateContinueArguments {
  readonly state: MigrateContinueState;
}

export interface MigrateIncomingArguments {
  readonly uri?: string;
  readonly channels?: readonly MigrateChannels[];
  readonly 'exit-on-error'?: boolean;
}

export interface MigrateRecoverArguments {
  readonly uri: string;
}

export interface MigrateSetCapabilitiesArguments {
  readonly capabilities: readonly QueryMigrateCapabilitiesReturn[];
}

export interface MigrateSetParametersArguments {
  readonly 'announce-initial'?: number;
  readonly 'announce-max'?: number;
  readonly 'announce-rounds'?: number;
  readonly 'announce-step'?: number;
  readonly 'throttle-trigger-threshold'?: number;
  readonly 'cpu-throttle-initial'?: number;
  readonly 'cpu-throttle-increment'?: number;
  readonly 'cpu-throttle-tailslow'?: boolean;
  readonly 'tls-creds'?: MigrateSetParametersTlsCreds;
  readonly 'tls-hostname'?: MigrateSetParametersTlsCreds;
  readonly 'tls-authz'?: MigrateSetParametersTlsCreds;
  readonly 'max-bandwidth'?: number;
  readonly 'avail-switchover-bandwidth'?: number;
  readonly 'downtime-limit'?: number;
  /** Unstable: may change or go. */
  readonly 'x-checkpoint-delay'?: number;
  readonly 'multifd-channels'?: number;
  readonly 'xbzrle-cache-size'?: number;
  readonly 'max-postcopy-bandwidth'?: number;
  readonly 'max-cpu-throttle'?: number;
  readonly 'multifd-compression'?: MultifdCompression;
  readonly 'multifd-zlib-level'?: number;
  readonly 'multifd-qatzip-level'?: number;
  readonly 'multifd-zstd-level'?: number;
  readonly 'block-bitmap-mapping'?: readonly BlockBitmapMapping[];
  /** Unstable: may change or go. */
  readonly 'x-vcpu-dirty-limit-period'?: number;
  readonly 'vcpu-dirty-limit'?: number;
  readonly mode?: MigrateSetParametersMode;
  readonly 'zero-page-detection'?: ZeroPageDetection;
  readonly 'direct-io'?: boolean;
  /** Unstable: may change or go. */
  readonly 'x-rdma-chunk-size'?: number;
  readonly 'cpr-exec-command'?: readonly string[];
}

export interface NbdServerAddArguments {
  readonly name?: string;
  readonly description?: string;
  readonly device: string;
  readonly writable?: boolean;
  readonly bitmap?: string;
}

export interface NbdServerRemoveArguments {
  readonly name: string;
  readonly mode?: BlockExportDelMode;
}

export interface NbdServerStartArguments {
  readonly 'handshake-max-seconds'?: number;
  readonly 'tls-creds'?: string;
  readonly 'tls-authz'?: string;
  readonly 'max-connections'?: number;
  readonly addr: NbdServerStartAddr;
}

export type NetdevAddArguments = { readonly id: string } & (
  | ({ readonly type: 'nic' } & Nic)
  | ({ readonly type: 'passt' } & Passt)
  | ({ readonly type: 'user' } & User)
  | ({ readonly type: 'tap' } & Tap)
  | ({ readonly type: 'l2tpv3' } & L2tpv3)
  | ({ readonly type: 'socket' } & NetdevAddSocket)
  | ({ readonly type: 'stream' } & Stream)
  | ({ readonly type: 'dgram' } & Dgram)
  | ({ readonly type: 'vde' } & Vde)
  | ({ readonly type: 'bridge' } & Bridge)
  | ({ readonly type: 'hubport' } & Hubport)
  | ({ readonly type: 'netmap' } & Netmap)
  | ({ readonly type: 'vhost-user' } & VhostUser)
  | ({ readonly type: 'vhost-vdpa' } & VhostVdpa)
  | { readonly type: 'none' }
);

export interface NetdevDelArguments {
  readonly id: string;
}

export type ObjectAddArguments = { readonly id: string } & (
  | ({ readonly 'qom-type': 'acpi-generic-initiator' } & AcpiGenericInitiator)
  | ({ readonly 'qom-type': 'acpi-generic-port' } & AcpiGenericPort)
  | ({ readonly 'qom-type': 'authz-list' } & AuthzList)
  | ({ readonly 'qom-type': 'authz-listfile' } & AuthzListfile)
  | ({ readonly 'qom-type': 'authz-pam' } & AuthzPam)
  | ({ readonly 'qom-type': 'authz-simple' } & AuthzSimple)
  | ({ readonly 'qom-type': 'can-host-socketcan' } & CanHostSocketcan)
  | ({ readonly 'qom-type': 'colo-compare' } & ColoCompare)
  | ({
      readonly 'qom-type':
        'cryptodev-backend' | 'cryptodev-backend-builtin' | 'cryptodev-backend-lkcf';
    } & ObjectAddCryptodevBackend)
  | ({ readonly 'qom-type': 'cryptodev-vhost-user' } & CryptodevVhostUser)
  | ({ readonly 'qom-type': 'dbus-vmstate' } & DbusVmstate)
  | ({ readonly 'qom-type': 'filter-buffer' } & FilterBuffer)
  | ({ readonly 'qom-type': 'filter-dump' } & FilterDump)
  | ({ readonly 'qom-type': 'filter-mirror' } & FilterMirror)
  | ({ readonly 'qom-type': 'filter-redirector' } & FilterRedirector)
  | ({ readonly 'qom-type': 'filter-replay' } & FilterReplay)
  | ({ readonly 'qom-type': 'filter-rewriter' } & FilterRewriter)
  | ({ readonly 'qom-type': 'input-barrier' } & InputBarrier)
  | ({ readonly 'qom-type': 'input-linux' } & InputLinux)
  | ({ readonly 'qom-type': 'iommufd' } & Iommufd)
  | ({ readonly 'qom-type': 'iothread' } & ObjectAddIothread)
  | ({ readonly 'qom-type': 'main-loop' } & MainLoop)
  | ({ readonly 'qom-type': 'memory-backend-epc' } & MemoryBackendEpc)
  | ({ readonly 'qom-type': 'memory-backend-file' } & MemoryBackendFile)
  | ({ readonly 'qom-type': 'memory-backend-memfd' } & MemoryBackendMemfd)
  | ({ readonly 'qom-type': 'memory-backend-ram' } & MemoryBackendRam)
  | ({ readonly 'qom-type': 'memory-backend-shm' } & MemoryBackendShm)
  | ({ readonly 'qom-type': 'monitor-hmp' } & MonitorHmp)
  | ({ readonly 'qom-type': 'monitor-qmp' } & MonitorQmp)
  | ({ readonly 'qom-type': 'pr-manager-helper' } & PrManagerHelper)
  | ({ readonly 'qom-type': 'qtest' } & Qtest)
  | ({ readonly 'qom-type': 'rng-builtin' } & RngBuiltin)
  | ({ readonly 'qom-type': 'rng-egd' } & RngEgd)
  | ({ readonly 'qom-type': 'rng-random' } & RngRandom)
  | ({ readonly 'qom-type': 'secret' } & Secret)
  | ({ readonly 'qom-type': 'secret_keyring' } & SecretKeyring)
  | ({ readonly 'qom-type': 'sev-guest' } & SevGuest)
  | ({ readonly 'qom-type': 'sev-snp-guest' } & SevSnpGuest)
  | ({ readonly 'qom-type': 'tdx-guest' } & TdxGuest)
  | ({ readonly 'qom-type': 'thread-context' } & ThreadContext)
  | ({ readonly 'qom-type': 'throttle-group' } & ThrottleGroup)
  | ({ readonly 'qom-type': 'tls-creds-anon' } & TlsCredsAnon)
  | ({ readonly 'qom-type': 'tls-creds-psk' } & TlsCredsPsk)
  | ({ readonly 'qom-type': 'tls-creds-x509' } & TlsCredsX509)
  | ({ readonly 'qom-type': 'tls-cipher-suites' } & TlsCipherSuites)
  | ({ readonly 'qom-type': 'x-remote-object' } & XRemoteObject)
  | ({ readonly 'qom-type': 'x-vfio-user-server' } & XVfioUserServer)
  | { readonly 'qom-type': 'can-bus' | 'pef-guest' | 's390-pv-guest' }
);

export interface ObjectDelArguments {
  readonly id: string;
}

export interface PmemsaveArguments {
  readonly val: number;
  readonly size: number;
  readonly filename: string;
}

export interface QmpCapabilitiesArguments {
  readonly enable?: readonly Enable[];
}

export interface QomGetArguments {
  readonly path: string;
  readonly property: string;
}

export interface QomListArguments {
  readonly path: string;
}

export interface QomListGetArguments {
  readonly paths: readonly string[];
}

export interface QomListGetReturn {
  readonly properties: readonly QomListGetProperties[];
}

export interface QomListPropertiesArguments {
  readonly typename: string;
}

export interface QomListTypesArguments {
  readonly implements?: string;
  readonly abstract?: boolean;
}

export interface QomListTypesReturn {
  readonly name: string;
  readonly abstract?: boolean;
  readonly parent?: string;
}

export interface QomSetArguments {
  readonly path: string;
  readonly property: string;
  readonly value: unknown;
}

export interface QueryAcceleratorsReturn {
  readonly enabled: QueryAcceleratorsEnabled;
  readonly present: readonly QueryAcceleratorsEnabled[];
}

export interface QueryAcpiOspmStatusReturn {
  readonly device?: string;
  readonly slot: string;
  readonly 'slot-type': SlotType;
  readonly source: number;
  readonly status: number;
}

export type QueryAudiodevsReturn = { readonly id: string; readonly 'timer-period'?: number } & (
  | ({ readonly driver: 'none' | 'spice' } & QueryAudiodevsNone)
  | ({ readonly driver: 'alsa' } & Alsa)
  | ({ readonly driver: 'dbus' } & QueryAudiodevsDbus)
  | ({ readonly driver: 'jack' } & Jack)
  | ({ readonly driver: 'oss' } & Oss)
  | ({ readonly driver: 'pa' } & Pa)
  | ({ readonly driver: 'pipewire' } & Pipewire)
  | ({ readonly driver: 'sdl' } & QueryAudiodevsSdl)
  | ({ readonly driver: 'wav' } & Wav)
);

export interface QueryBalloonReturn {
  readonly actual: number;
}

export interface QueryBlockArguments {
  readonly flat?: boolean;
}

export interface QueryBlockReturn {
  readonly device: string;
  readonly qdev?: string;
  readonly type: string;
  readonly removable: boolean;
  readonly locked: boolean;
  readonly inserted?: QueryNamedBlockNodesReturn;
  readonly tray_open?: boolean;
  readonly 'io-status'?: IoStatus;
}

export interface QueryBlockExportsReturn {
  readonly id: string;
  readonly type: BlockExportAddType;
  readonly 'node-name': string;
  readonly 'shutting-down': boolean;
}

export type QueryBlockJobsReturn = {
  readonly device: string;
  readonly len: number;
  readonly offset: number;
  readonly busy: boolean;
  readonly paused: boolean;
  readonly speed: number;
  readonly 'io-status': IoStatus;
  readonly ready: boolean;
  readonly status: QueryBlockJobsStatus;
  readonly 'auto-finalize': boolean;
  readonly 'auto-dismiss': boolean;
  readonly error?: string;
} & (
  | ({ readonly type: 'mirror' } & QueryBlockJobsMirror)
  | {
      readonly type:
        | 'commit'
        | 'stream'
        | 'backup'
        | 'create'
        | 'amend'
        | 'snapshot-load'
        | 'snapshot-save'
        | 'snapshot-delete';
    }
);

export interface QueryBlockstatsArguments {
  readonly 'query-nodes'?: boolean;
}

export interface QueryBlockstatsReturn {
  readonly device?: string;
  readonly qdev?: string;
  readonly 'node-name'?: string;
  readonly stats: QueryBlockstatsStats;
  readonly 'driver-specific'?: DriverSpecific;
  readonly parent?: QueryBlockstatsReturn;
  readonly backing?: QueryBlockstatsReturn;
}

export interface QueryChardevReturn {
  readonly label: string;
  readonly filename: string;
  readonly 'frontend-open': boolean;
}

export interface QueryChardevBackendsReturn {
  readonly name: string;
}

export interface QueryColoStatusReturn {
  readonly mode: QueryColoStatusMode;
  readonly 'last-mode': QueryColoStatusMode;
  readonly reason: QueryColoStatusReason;
}

export interface QueryCommandLineOptionsArguments {
  readonly option?: string;
}

export interface QueryCommandLineOptionsReturn {
  readonly option: string;
  readonly parameters: readonly Parameters[];
}

export interface QueryCommandsReturn {
  readonly name: string;
}

export interface QueryCpuDefinitionsReturn {
  readonly name: string;
  readonly 'migration-safe'?: boolean;
  readonly static: boolean;
  readonly 'unavailable-features'?: readonly string[];
  readonly typename: string;
  readonly 'alias-of'?: string;
  readonly deprecated: boolean;
}

export interface QueryCpuModelBaselineArguments {
  readonly modela: QueryCpuModelBaselineModela;
  readonly modelb: QueryCpuModelBaselineModela;
}

export interface QueryCpuModelBaselineReturn {
  readonly model: QueryCpuModelBaselineModela;
}

export interface QueryCpuModelComparisonArguments {
  readonly modela: QueryCpuModelBaselineModela;
  readonly modelb: QueryCpuModelBaselineModela;
}

export interface QueryCpuModelComparisonReturn {
  readonly result: QueryCpuModelComparisonResult;
  readonly 'responsible-properties': readonly string[];
}

export interface QueryCpuModelExpansionArguments {
  readonly type: QueryCpuModelExpansionType;
  readonly model: QueryCpuModelBaselineModela;
}

export interface QueryCpuModelExpansionReturn {
  readonly model: QueryCpuModelBaselineModela;
  readonly 'deprecated-props'?: readonly string[];
}

export type QueryCpusFastReturn = {
  readonly 'cpu-index': number;
  readonly 'qom-type': string;
  readonly 'qom-path': string;
  readonly 'thread-id': number;
  readonly props?: Props;
} & (
  | ({ readonly target: 's390x' } & S390x)
  | {
      readonly target:
        | 'aarch64'
        | 'alpha'
        | 'arm'
        | 'avr'
        | 'hexagon'
        | 'hppa'
        | 'i386'
        | 'loongarch64'
        | 'm68k'
        | 'microblaze'
        | 'mips'
        | 'mips64'
        | 'mips64el'
        | 'mipsel'
        | 'or1k'
        | 'ppc'
        | 'ppc64'
        | 'riscv32'
        | 'riscv64'
        | 'rx'
        | 'sh4'
        | 'sh4eb'
        | 'sparc'
        | 'sparc64'
        | 'tricore'
        | 'x86_64'
        | 'xtensa'
        | 'xtensaeb';
    }
);

export interface QueryCryptodevReturn {
  readonly id: string;
  readonly service: readonly Service[];
  readonly client: readonly QueryCryptodevClient[];
}

export interface QueryCurrentMachineReturn {
  readonly 'wakeup-suspend-support': boolean;
}

export interface QueryDirtyRateArguments {
  readonly 'calc-time-unit'?: CalcTimeUnit;
}

export interface QueryDirtyRateReturn {
  readonly 'dirty-rate'?: number;
  readonly status: QueryDirtyRateStatus;
  readonly 'start-time': number;
  readonly 'calc-time': number;
  readonly 'calc-time-unit': CalcTimeUnit;
  readonly 'sample-pages': number;
  readonly mode: CalcDirtyRateMode;
  readonly 'vcpu-dirty-rate'?: readonly VcpuDirtyRate[];
}

export type QueryDisplayOptionsReturn = {
  readonly 'full-screen'?: boolean;
  readonly 'window-close'?: boolean;
  readonly 'show-cursor'?: boolean;
  readonly gl?: Gl;
} & (
  | ({ readonly type: 'gtk' } & Gtk)
  | ({ readonly type: 'curses' } & Curses)
  | ({ readonly type: 'egl-headless' } & EglHeadless)
  | ({ readonly type: 'dbus' } & QueryDisplayOptionsDbus)
  | ({ readonly type: 'sdl' } & QueryDisplayOptionsSdl)
  | { readonly type: 'default' | 'none' | 'spice-app' }
);

export interface QueryDumpReturn {
  readonly status: QueryDumpStatus;
  readonly completed: number;
  readonly total: number;
}

export interface QueryDumpGuestMemoryCapabilityReturn {
  readonly formats: readonly DumpGuestMemoryFormat[];
}

export interface QueryFdsetsReturn {
  readonly 'fdset-id': number;
  readonly fds: readonly Fds[];
}

export interface QueryFirmwareLogArguments {
  readonly 'max-size'?: number;
}

export interface QueryFirmwareLogReturn {
  readonly version?: string;
  readonly log: string;
}

export interface QueryGicCapabilitiesReturn {
  readonly version: number;
  readonly emulated: boolean;
  readonly kernel: boolean;
}

export interface QueryHotpluggableCpusReturn {
  readonly type: string;
  readonly 'vcpus-count': number;
  readonly props: Props;
  readonly 'qom-path'?: string;
}

export interface QueryHvBalloonStatusReportReturn {
  readonly committed: number;
  readonly available: number;
}

export interface QueryIothreadsReturn {
  readonly id: string;
  readonly 'thread-id': number;
  readonly 'poll-max-ns': number;
  readonly 'poll-grow': number;
  readonly 'poll-shrink': number;
  readonly 'poll-weight': number;
  readonly 'aio-max-batch': number;
}

export interface QueryJobsReturn {
  readonly id: string;
  readonly type: BlockJobChangeType;
  readonly status: QueryBlockJobsStatus;
  readonly 'current-progress': number;
  readonly 'total-progress': number;
  readonly error?: string;
}

export interface QueryKvmReturn {
  readonly enabled: boolean;
  readonly present: boolean;
}

export interface QueryMachinesArguments {
  /** Unstable: may change or go. */
  readonly 'compat-props'?: boolean;
}

export interface QueryMachinesReturn {
  readonly name: string;
  readonly alias?: string;
  readonly 'is-default'?: boolean;
  readonly 'cpu-max': number;
  readonly 'hotpluggable-cpus': boolean;
  readonly 'numa-mem-supported': boolean;
  readonly deprecated: boolean;
  readonly 'default-cpu-type'?: string;
  readonly 'default-ram-id'?: string;
  readonly acpi: boolean;
  /** Unstable: may change or go. */
  readonly 'compat-props'?: readonly CompatProps[];
}

export interface QueryMemdevReturn {
  readonly id?: string;
  readonly size: number;
  readonly merge: boolean;
  readonly dump: boolean;
  readonly prealloc: boolean;
  readonly share: boolean;
  readonly reserve?: boolean;
  readonly 'host-nodes': readonly number[];
  readonly policy: QueryMemdevPolicy;
}

export type QueryMemoryDevicesReturn =
  | ({ readonly type: 'dimm' | 'nvdimm' } & QueryMemoryDevicesDimm)
  | ({ readonly type: 'virtio-pmem' } & VirtioPmem)
  | ({ readonly type: 'virtio-mem' } & VirtioMem)
  | ({ readonly type: 'sgx-epc' } & SgxEpc)
  | ({ readonly type: 'hv-balloon' } & HvBalloon)
  | ({ readonly type: 'sp-mem' } & SpMem);

export interface QueryMemorySizeSummaryReturn {
  readonly 'base-memory': number;
  readonly 'plugged-memory'?: number;
}

export interface QueryMiceReturn {
  readonly name: string;
  readonly index: number;
  readonly current: boolean;
  readonly absolute: boolean;
}

export interface QueryMigrateReturn {
  readonly status?: MigrateContinueState;
  readonly ram?: Ram;
  readonly remaining?: number;
  readonly vfio?: Vfio;
  readonly 'xbzrle-cache'?: XbzrleCache;
  readonly 'total-time'?: number;
  readonly 'expected-downtime'?: number;
  readonly downtime?: number;
  readonly 'setup-time'?: number;
  readonly 'cpu-throttle-percentage'?: number;
  readonly 'error-desc'?: string;
  readonly 'blocked-reasons'?: readonly string[];
  readonly 'postcopy-blocktime'?: number;
  readonly 'postcopy-vcpu-blocktime'?: readonly number[];
  /** Unstable: may change or go. */
  readonly 'postcopy-latency'?: number;
  /** Unstable: may change or go. */
  readonly 'postcopy-latency-dist'?: readonly number[];
  /** Unstable: may change or go. */
  readonly 'postcopy-vcpu-latency'?: readonly number[];
  /** Unstable: may change or go. */
  readonly 'postcopy-non-vcpu-latency'?: number;
  readonly 'socket-address'?: readonly QueryMigrateSocketAddress[];
  readonly 'dirty-limit-throttle-time-per-round'?: number;
  readonly 'dirty-limit-ring-full-time'?: number;
}

export interface QueryMigrateCapabilitiesReturn {
  readonly capability: Capability;
  readonly state: boolean;
}

export interface QueryNameReturn {
  readonly name?: string;
}

export interface QueryNamedBlockNodesArguments {
  readonly flat?: boolean;
}

export interface QueryNamedBlockNodesReturn {
  readonly file: string;
  readonly 'node-name': string;
  readonly ro: boolean;
  readonly drv: string;
  readonly backing_file?: string;
  readonly backing_file_depth: number;
  readonly children: readonly QueryNamedBlockNodesChildren[];
  readonly active: boolean;
  readonly encrypted: boolean;
  readonly detect_zeroes: DetectZeroes;
  readonly bps: number;
  readonly bps_rd: number;
  readonly bps_wr: number;
  readonly iops: number;
  readonly iops_rd: number;
  readonly iops_wr: number;
  readonly image: QueryNamedBlockNodesImage;
  readonly bps_max?: number;
  readonly bps_rd_max?: number;
  readonly bps_wr_max?: number;
  readonly iops_max?: number;
  readonly iops_rd_max?: number;
  readonly iops_wr_max?: number;
  readonly bps_max_length?: number;
  readonly bps_rd_max_length?: number;
  readonly bps_wr_max_length?: number;
  readonly iops_max_length?: number;
  readonly iops_rd_max_length?: number;
  readonly iops_wr_max_length?: number;
  readonly iops_size?: number;
  readonly group?: string;
  readonly cache: QueryNamedBlockNodesCache;
  readonly write_threshold: number;
  readonly 'dirty-bitmaps'?: readonly DirtyBitmaps[];
}

export interface QueryPciReturn {
  readonly bus: number;
  readonly devices: readonly Devices[];
}

export interface QueryPrManagersReturn {
  readonly id: string;
  readonly connected: boolean;
}

export type QueryQmpSchemaReturn = {
  readonly name: string;
  readonly features?: readonly string[];
} & (
  | ({ readonly 'meta-type': 'builtin' } & Builtin)
  | ({ readonly 'meta-type': 'enum' } & Enum)
  | ({ readonly 'meta-type': 'array' } & Array)
  | ({ readonly 'meta-type': 'object' } & Object2)
  | ({ readonly 'meta-type': 'alternate' } & Alternate)
  | ({ readonly 'meta-type': 'command' } & Command)
  | ({ readonly 'meta-type': 'event' } & QueryQmpSchemaEvent)
);

export interface QueryReplayReturn {
  readonly mode: QueryReplayMode;
  readonly filename?: string;
  readonly icount: number;
}

export interface QueryRockerArguments {
  readonly name: string;
}

export interface QueryRockerReturn {
  readonly name: string;
  readonly id: number;
  readonly ports: number;
}

export interface QueryRockerOfDpaFlowsArguments {
  readonly name: string;
  readonly 'tbl-id'?: number;
}

export interface QueryRockerOfDpaFlowsReturn {
  readonly cookie: number;
  readonly hits: number;
  readonly key: QueryRockerOfDpaFlowsKey;
  readonly mask: Mask;
  readonly action: QueryRockerOfDpaFlowsAction;
}

export interface QueryRockerOfDpaGroupsArguments {
  readonly name: string;
  readonly type?: number;
}

export interface QueryRockerOfDpaGroupsReturn {
  readonly id: number;
  readonly type: number;
  readonly 'vlan-id'?: number;
  readonly pport?: number;
  readonly index?: number;
  readonly 'out-pport'?: number;
  readonly 'group-id'?: number;
  readonly 'set-vlan-id'?: number;
  readonly 'pop-vlan'?: number;
  readonly 'group-ids'?: readonly number[];
  readonly 'set-eth-src'?: string;
  readonly 'set-eth-dst'?: string;
  readonly 'ttl-check'?: number;
}

export interface QueryRockerPortsArguments {
  readonly name: string;
}

export interface QueryRockerPortsReturn {
  readonly name: string;
  readonly enabled: boolean;
  readonly 'link-up': boolean;
  readonly speed: number;
  readonly duplex: Duplex;
  readonly autoneg: Autoneg;
}

export interface QueryRxFilterArguments {
  readonly name?: string;
}

export interface QueryRxFilterReturn {
  readonly name: string;
  readonly promiscuous: boolean;
  readonly multicast: QueryRxFilterMulticast;
  readonly unicast: QueryRxFilterMulticast;
  readonly vlan: QueryRxFilterMulticast;
  readonly 'broadcast-allowed': boolean;
  readonly 'multicast-overflow': boolean;
  readonly 'unicast-overflow': boolean;
  readonly 'main-mac': string;
  readonly 'vlan-table': readonly number[];
  readonly 'unicast-table': readonly string[];
  readonly 'multicast-table': readonly string[];
}

export interface QueryS390xCpuPolarizationReturn {
  readonly polarization: Polarization;
}

export type QuerySevReturn = {
  readonly enabled: boolean;
  readonly 'api-major': number;
  readonly 'api-minor': number;
  readonly 'build-id': number;
  readonly state: QuerySevState;
} & (
  ({ readonly 'sev-type': 'sev' } & QuerySevSev) | ({ readonly 'sev-type': 'sev-snp' } & SevSnp)
);

export interface QuerySevAttestationReportArguments {
  readonly mnonce: string;
}

export interface QuerySevAttestationReportReturn {
  readonly data: string;
}

export interface QuerySevCapabilitiesReturn {
  readonly pdh: string;
  readonly 'cert-chain': string;
  readonly 'cpu0-id': string;
  readonly cbitpos: number;
  readonly 'reduced-phys-bits': number;
}

export interface QuerySevLaunchMeasureReturn {
  readonly data: string;
}

export interface QuerySgxReturn {
  readonly sgx: boolean;
  readonly sgx1: boolean;
  readonly sgx2: boolean;
  readonly flc: boolean;
  readonly sections: readonly Sections[];
}

export interface QuerySpiceReturn {
  readonly enabled: boolean;
  readonly migrated: boolean;
  readonly host?: string;
  readonly port?: number;
  readonly 'tls-port'?: number;
  readonly auth?: string;
  readonly 'compiled-version'?: string;
  readonly 'mouse-mode': MouseMode;
  readonly channels?: readonly QuerySpiceChannels[];
}

export type QueryStatsArguments = { readonly providers?: readonly Providers[] } & (
  ({ readonly target: 'vcpu' } & Vcpu) | { readonly target: 'vm' | 'cryptodev' }
);

export interface QueryStatsReturn {
  readonly provider: Provider;
  readonly 'qom-path'?: string;
  readonly stats: readonly QueryStatsStats[];
}

export interface QueryStatsSchemasArguments {
  readonly provider?: Provider;
}

export interface QueryStatsSchemasReturn {
  readonly provider: Provider;
  readonly target: QueryStatsTarget;
  readonly stats: readonly QueryStatsSchemasStats[];
}

export interface QueryStatusReturn {
  readonly running: boolean;
  readonly status: QueryStatusStatus;
}

export interface QueryTargetReturn {
  readonly arch: QueryCpusFastTarget;
}

export interface QueryTpmReturn {
  readonly id: string;
  readonly model: QueryTpmModelsReturn;
  readonly options: QueryTpmOptions;
}

export type QueryTpmModelsReturn = 'tpm-tis' | 'tpm-crb' | 'tpm-spapr';

export type QueryTpmTypesReturn = 'passthrough' | 'emulator';

export interface QueryUuidReturn {
  readonly UUID: string;
}

export interface QueryVcpuDirtyLimitReturn {
  readonly 'cpu-index': number;
  readonly 'limit-rate': number;
  readonly 'current-rate': number;
}

export interface QueryVersionReturn {
  readonly qemu: Qemu;
  readonly package: string;
}

export interface QueryVmGenerationIdReturn {
  readonly guid: string;
}

export interface QueryVncReturn {
  readonly enabled: boolean;
  readonly host?: string;
  readonly family?: Family;
  readonly service?: string;
  readonly auth?: string;
  readonly clients?: readonly QueryVncClients[];
}

export interface QueryVncServersReturn {
  readonly id: string;
  readonly server: readonly QueryVncServersServer[];
  readonly clients: readonly QueryVncClients[];
  readonly auth: Auth;
  readonly vencrypt?: Vencrypt;
  readonly display?: string;
}

export interface QueryXenReplicationStatusReturn {
  readonly error: boolean;
  readonly desc?: string;
}

export type QueryYankReturn =
  | ({ readonly type: 'block-node' } & BlockNode)
  | ({ readonly type: 'chardev' } & Chardev)
  | { readonly type: 'migration' };

export interface RemoveFdArguments {
  readonly 'fdset-id': number;
  readonly fd?: number;
}

export interface ReplayBreakArguments {
  readonly icount: number;
}

export interface ReplaySeekArguments {
  readonly icount: number;
}

export interface RequestEbpfArguments {
  readonly id: RequestEbpfId;
}

export interface RequestEbpfReturn {
  readonly object: string;
}

export interface RingbufReadArguments {
  readonly device: string;
  readonly size: number;
  readonly format?: RingbufReadFormat;
}

export interface RingbufWriteArguments {
  readonly device: string;
  readonly data: string;
  readonly format?: RingbufReadFormat;
}

export interface ScreendumpArguments {
  readonly filename: string;
  readonly device?: string;
  readonly head?: number;
  readonly format?: ScreendumpFormat;
}

export interface SendKeyArguments {
  readonly keys: readonly SendKeyKeys[];
  readonly 'hold-time'?: number;
}

export interface SetActionArguments {
  readonly reboot?: Reboot;
  readonly shutdown?: Shutdown;
  readonly panic?: Panic;
  readonly watchdog?: SetActionWatchdog;
}

export interface SetCpuTopologyArguments {
  readonly 'core-id': number;
  readonly 'socket-id'?: number;
  readonly 'book-id'?: number;
  readonly 'drawer-id'?: number;
  readonly entitlement?: Entitlement;
  readonly dedicated?: boolean;
}

export type SetNumaNodeArguments =
  | ({ readonly type: 'node' } & Node)
  | ({ readonly type: 'dist' } & Dist)
  | ({ readonly type: 'cpu' } & Cpu)
  | ({ readonly type: 'hmat-lb' } & HmatLb)
  | ({ readonly type: 'hmat-cache' } & HmatCache);

export interface SetVcpuDirtyLimitArguments {
  readonly 'cpu-index'?: number;
  readonly 'dirty-rate': number;
}

export interface SetLinkArguments {
  readonly name: string;
  readonly up: boolean;
}

export type SetPasswordArguments = { readonly password: string; readonly connected?: Connected } & (
  ({ readonly protocol: 'vnc' } & SetPasswordVnc) | { readonly protocol: 'spice' }
);

export interface SevInjectLaunchSecretArguments {
  readonly 'packet-header': string;
  readonly secret: string;
  readonly gpa?: number;
}

export interface SnapshotDeleteArguments {
  readonly 'job-id': string;
  readonly tag: string;
  readonly devices: readonly string[];
}

export interface SnapshotLoadArguments {
  readonly 'job-id': string;
  readonly tag: string;
  readonly vmstate: string;
  readonly devices: readonly string[];
}

export interface SnapshotSaveArguments {
  readonly 'job-id': string;
  readonly tag: string;
  readonly vmstate: string;
  readonly devices: readonly string[];
}

export interface TraceEventGetStateArguments {
  readonly name: string;
}

export interface TraceEventGetStateReturn {
  readonly name: string;
  readonly state: TraceEventGetStateState;
}

export interface TraceEventSetStateArguments {
  readonly name: string;
  readonly enable: boolean;
  readonly 'ignore-unavailable'?: boolean;
}

export interface TransactionArguments {
  readonly actions: readonly Actions[];
  readonly properties?: TransactionProperties;
}

export interface WatchdogSetActionArguments {
  readonly action: SetActionWatchdog;
}

export interface XAccelStatsReturn {
  readonly 'human-readable-text': string;
}

export interface XBlockdevAmendArguments {
  readonly 'job-id': string;
  readonly 'node-name': string;
  readonly options: XBlockdevAmendOptions;
  readonly force?: boolean;
}

export interface XBlockdevChangeArguments {
  readonly parent: string;
  readonly child?: string;
  readonly node?: string;
}

export interface XBlockdevSetIothreadArguments {
  readonly 'node-name': string;
  readonly iothread: MigrateSetParametersTlsCreds;
  readonly force?: boolean;
}

export interface XDebugBlockDirtyBitmapSha256Return {
  readonly sha256: string;
}

export interface XDebugQueryBlockGraphReturn {
  readonly nodes: readonly Nodes[];
  readonly edges: readonly Edges[];
}

export interface XQueryVirtioReturn {
  readonly path: string;
  readonly name: string;
}

export interface XQueryVirtioQueueElementArguments {
  readonly path: string;
  readonly queue: number;
  readonly index?: number;
}

export interface XQueryVirtioQueueElementReturn {
  readonly name: string;
  readonly index: number;
  readonly descs: readonly Descs[];
  readonly avail: Avail;
  readonly used: Used;
}

export interface XQueryVirtioQueueStatusArguments {
  readonly path: string;
  readonly queue: number;
}

export interface XQueryVirtioQueueStatusReturn {
  readonly name: string;
  readonly 'queue-index': number;
  readonly inuse: number;
  readonly 'vring-num': number;
  readonly 'vring-num-default': number;
  readonly 'vring-align': number;
  readonly 'vring-desc': number;
  readonly 'vring-avail': number;
  readonly 'vring-used': number;
  readonly 'last-avail-idx'?: number;
  readonly 'shadow-avail-idx'?: number;
  readonly 'used-idx': number;
  readonly 'signalled-used': number;
  readonly 'signalled-used-valid': boolean;
}

export interface XQueryVirtioStatusArguments {
  readonly path: string;
}

export interface XQueryVirtioStatusReturn {
  readonly name: string;
  readonly 'device-id': number;
  readonly 'vhost-started': boolean;
  readonly 'device-endian': string;
  readonly 'guest-features': XQueryVirtioStatusGuestFeatures;
  readonly 'host-features': XQueryVirtioStatusGuestFeatures;
  readonly 'backend-features': XQueryVirtioStatusGuestFeatures;
  readonly 'num-vqs': number;
  readonly status: XQueryVirtioStatusStatus;
  readonly isr: number;
  readonly 'queue-sel': number;
  readonly 'vm-running': boolean;
  readonly broken: boolean;
  readonly disabled: boolean;
  readonly 'use-started': boolean;
  readonly started: boolean;
  readonly 'start-on-kick': boolean;
  readonly 'disable-legacy-check': boolean;
  readonly 'bus-name': string;
  readonly 'use-guest-notifier-mask': boolean;
  readonly 'vhost-dev'?: VhostDev;
}

export interface XQueryVirtioVhostQueueStatusArguments {
  readonly path: string;
  readonly queue: number;
}

export interface XQueryVirtioVhostQueueStatusReturn {
  readonly name: string;
  readonly kick: number;
  readonly call: number;
  readonly num: number;
  readonly 'desc-phys': number;
  readonly 'desc-size': number;
  readonly 'avail-phys': number;
  readonly 'avail-size': number;
  readonly 'used-phys': number;
  readonly 'used-size': number;
}

export interface XenEventInjectArguments {
  readonly port: number;
}

export interface XenEventListReturn {
  readonly port: number;
  readonly vcpu: number;
  readonly type: XenEventListType;
  readonly 'remote-domain': string;
  readonly target: number;
  readonly pending: boolean;
  readonly masked: boolean;
}

export interface XenLoadDevicesStateArguments {
  readonly filename: string;
}

export interface XenSaveDevicesStateArguments {
  readonly filename: string;
  readonly live?: boolean;
}

export interface XenSetGlobalDirtyLogArguments {
  readonly enable: boolean;
}

export interface XenSetReplicationArguments {
  readonly enable: boolean;
  readonly primary: boolean;
  readonly failover?: boolean;
}

export interface YankArguments {
  readonly instances: readonly QueryYankReturn[];
}

export interface AcpiDeviceOstData {
  readonly info: QueryAcpiOspmStatusReturn;
}

export interface BalloonChangeData {
  readonly actual: number;
}

export interface BlockExportDeletedData {
  readonly id: string;
}

export interface BlockImageCorruptedData {
  readonly device: string;
  readonly 'node-name'?: string;
  readonly msg: string;
  readonly offset?: number;
  readonly size?: number;
  readonly fatal: boolean;
}

export interface BlockIoErrorData {
  readonly 'qom-path': string;
  readonly device: string;
  readonly 'node-name'?: string;
  readonly operation: Operation;
  readonly action: BlockIoErrorAction;
  readonly nospace?: boolean;
  readonly reason: string;
}

export interface BlockJobCancelledData {
  readonly type: BlockJobChangeType;
  readonly device: string;
  readonly len: number;
  readonly offset: number;
  readonly speed: number;
}

export interface BlockJobCompletedData {
  readonly type: BlockJobChangeType;
  readonly device: string;
  readonly len: number;
  readonly offset: number;
  readonly speed: number;
  readonly error?: string;
}

export interface BlockJobErrorData {
  readonly device: string;
  readonly operation: Operation;
  readonly action: BlockIoErrorAction;
}

export interface BlockJobPendingData {
  readonly type: BlockJobChangeType;
  readonly id: string;
}

export interface BlockJobReadyData {
  readonly type: BlockJobChangeType;
  readonly device: string;
  readonly len: number;
  readonly offset: number;
  readonly speed: number;
}

export interface BlockWriteThresholdData {
  readonly 'node-name': string;
  readonly 'amount-exceeded': number;
  readonly 'write-threshold': number;
}

export interface ColoExitData {
  readonly mode: QueryColoStatusMode;
  readonly reason: QueryColoStatusReason;
}

export interface CpuPolarizationChangeData {
  readonly polarization: Polarization;
}

export interface DeviceDeletedData {
  readonly device?: string;
  readonly path: string;
}

export interface DeviceTrayMovedData {
  readonly device: string;
  readonly id: string;
  readonly 'tray-open': boolean;
}

export interface DeviceUnplugGuestErrorData {
  readonly device?: string;
  readonly path: string;
}

export interface DumpCompletedData {
  readonly result: QueryDumpReturn;
  readonly error?: string;
}

export interface FailoverNegotiatedData {
  readonly 'device-id': string;
}

export interface GuestCrashloadedData {
  readonly action: GuestCrashloadedAction;
  readonly info?: GuestCrashloadedInfo;
}

export interface GuestPanickedData {
  readonly action: GuestCrashloadedAction;
  readonly info?: GuestCrashloadedInfo;
}

export interface JobStatusChangeData {
  readonly id: string;
  readonly status: QueryBlockJobsStatus;
}

export interface MemoryDeviceSizeChangeData {
  readonly id?: string;
  readonly size: number;
  readonly 'qom-path': string;
}

export interface MemoryFailureData {
  readonly recipient: Recipient;
  readonly action: MemoryFailureAction;
  readonly flags: MemoryFailureFlags;
}

export interface MigrationData {
  readonly status: MigrateContinueState;
}

export interface MigrationPassData {
  readonly pass: number;
}

export interface NetdevStreamConnectedData {
  readonly 'netdev-id': string;
  readonly addr: QueryMigrateSocketAddress;
}

export interface NetdevStreamDisconnectedData {
  readonly 'netdev-id': string;
}

export interface NetdevVhostUserConnectedData {
  readonly 'netdev-id': string;
  readonly 'chardev-id': string;
}

export interface NetdevVhostUserDisconnectedData {
  readonly 'netdev-id': string;
}

export interface NicRxFilterChangedData {
  readonly name?: string;
  readonly path: string;
}

export interface PrManagerStatusChangedData {
  readonly id: string;
  readonly connected: boolean;
}

export interface QuorumFailureData {
  readonly reference: string;
  readonly 'sector-num': number;
  readonly 'sectors-count': number;
}

export interface QuorumReportBadData {
  readonly type: QuorumReportBadType;
  readonly error?: string;
  readonly 'node-name': string;
  readonly 'sector-num': number;
  readonly 'sectors-count': number;
}

export interface ResetData {
  readonly guest: boolean;
  readonly reason: ResetReason;
}

export interface RtcChangeData {
  readonly offset: number;
  readonly 'qom-path': string;
}

export interface ShutdownData {
  readonly guest: boolean;
  readonly reason: ResetReason;
}

export interface SpiceConnectedData {
  readonly server: SpiceConnectedServer;
  readonly client: SpiceConnectedServer;
}

export interface SpiceDisconnectedData {
  readonly server: SpiceConnectedServer;
  readonly client: SpiceConnectedServer;
}

export interface SpiceInitializedData {
  readonly server: SpiceInitializedServer;
  readonly client: QuerySpiceChannels;
}

export interface UnplugPrimaryData {
  readonly 'device-id': string;
}

export interface VfioMigrationData {
  readonly 'device-id': string;
  readonly 'qom-path': string;
  readonly 'device-state': DeviceState;
}

export interface VfuClientHangupData {
  readonly 'vfu-id': string;
  readonly 'vfu-qom-path': string;
  readonly 'dev-id': string;
  readonly 'dev-qom-path': string;
}

export interface VncConnectedData {
  readonly server: VncConnectedServer;
  readonly client: VncConnectedClient;
}

export interface VncDisconnectedData {
  readonly server: VncConnectedServer;
  readonly client: QueryVncClients;
}

export interface VncInitializedData {
  readonly server: VncConnectedServer;
  readonly client: QueryVncClients;
}

export interface VserportChangeData {
  readonly id: string;
  readonly open: boolean;
}

export interface WatchdogData {
  readonly action: SetActionWatchdog;
}

export type BlockCommitOnError = 'report' | 'ignore' | 'enospc' | 'stop' | 'auto';

export type BlockDirtyBitmapMergeBitmaps = string | BlockDirtyBitmapClearArguments;

export type BlockExportAddType = 'nbd' | 'vhost-user-blk' | 'fuse' | 'vduse-blk';

export type BlockExportAddIothread = string | readonly string[];

export interface BlockExportAddNbd {
  readonly name?: string;
  readonly description?: string;
  readonly bitmaps?: readonly BlockDirtyBitmapMergeBitmaps[];
  readonly 'allocation-depth'?: boolean;
}

export interface VhostUserBlk {
  readonly addr: QueryMigrateSocketAddress;
  readonly 'logical-block-size'?: number;
  readonly 'num-queues'?: number;
}

export interface Fuse {
  readonly mountpoint: string;
  readonly growable?: boolean;
  readonly 'allow-other'?: AllowOther;
}

export interface VduseBlk {
  readonly name: string;
  readonly 'num-queues'?: number;
  readonly 'queue-size'?: number;
  readonly 'logical-block-size'?: number;
  readonly serial?: string;
}

export type BlockExportDelMode = 'safe' | 'hard';

export type BlockJobChangeType =
  | 'commit'
  | 'stream'
  | 'mirror'
  | 'backup'
  | 'create'
  | 'amend'
  | 'snapshot-load'
  | 'snapshot-save'
  | 'snapshot-delete';

export interface BlockJobChangeMirror {
  readonly 'copy-mode': CopyMode;
}

export type BlockdevAddDriver =
  | 'blkdebug'
  | 'blklogwrites'
  | 'blkreplay'
  | 'blkverify'
  | 'bochs'
  | 'cloop'
  | 'compress'
  | 'copy-before-write'
  | 'copy-on-read'
  | 'dmg'
  | 'file'
  | 'snapshot-access'
  | 'ftp'
  | 'ftps'
  | 'host_cdrom'
  | 'host_device'
  | 'http'
  | 'https'
  | 'io_uring'
  | 'iscsi'
  | 'luks'
  | 'nbd'
  | 'nfs'
  | 'null-aio'
  | 'null-co'
  | 'nvme'
  | 'nvme-io_uring'
  | 'parallels'
  | 'preallocate'
  | 'qcow'
  | 'qcow2'
  | 'qed'
  | 'quorum'
  | 'raw'
  | 'rbd'
  | 'replication'
  | 'ssh'
  | 'throttle'
  | 'vdi'
  | 'vhdx'
  | 'virtio-blk-vfio-pci'
  | 'virtio-blk-vhost-user'
  | 'virtio-blk-vhost-vdpa'
  | 'vmdk'
  | 'vpc'
  | 'vvfat';

export type Discard = 'ignore' | 'unmap';

export interface BlockdevAddCache {
  readonly direct?: boolean;
  readonly 'no-flush'?: boolean;
}

export type DetectZeroes = 'off' | 'on' | 'unmap';

export interface Blkdebug {
  readonly image: BlkdebugImage;
  readonly config?: string;
  readonly align?: number;
  readonly 'max-transfer'?: number;
  readonly 'opt-write-zero'?: number;
  readonly 'max-write-zero'?: number;
  readonly 'opt-discard'?: number;
  readonly 'max-discard'?: number;
  readonly 'inject-error'?: readonly InjectError[];
  readonly 'set-state'?: readonly SetState[];
  readonly 'take-child-perms'?: readonly BlkdebugTakeChildPerms[];
  readonly 'unshare-child-perms'?: readonly BlkdebugTakeChildPerms[];
}

export interface Blklogwrites {
  readonly file: BlkdebugImage;
  readonly log: BlkdebugImage;
  readonly 'log-sector-size'?: number;
  readonly 'log-append'?: boolean;
  readonly 'log-super-update-interval'?: number;
}

export interface Blkverify {
  readonly test: BlkdebugImage;
  readonly raw: BlkdebugImage;
}

export interface Blkreplay {
  readonly image: BlkdebugImage;
}

export interface BlockdevAddBochs {
  readonly file: BlkdebugImage;
}

export interface CopyBeforeWrite {
  readonly file: BlkdebugImage;
  readonly target: BlkdebugImage;
  readonly bitmap?: BlockDirtyBitmapClearArguments;
  readonly 'on-cbw-error'?: OnCbwError;
  readonly 'cbw-timeout'?: number;
  readonly 'min-cluster-size'?: number;
}

export interface CopyOnRead {
  readonly file: BlkdebugImage;
  readonly bottom?: string;
}

export interface BlockdevAddFile {
  readonly filename: string;
  readonly 'pr-manager'?: string;
  readonly locking?: BlockdevAddFileLocking;
  readonly aio?: Aio;
  readonly 'aio-max-batch'?: number;
  readonly 'drop-cache'?: boolean;
  /** Unstable: may change or go. */
  readonly 'x-check-cache-dropped'?: boolean;
}

export interface Ftp {
  readonly url: string;
  readonly readahead?: number;
  readonly timeout?: number;
  readonly username?: string;
  readonly 'password-secret'?: string;
  readonly 'proxy-username'?: string;
  readonly 'proxy-password-secret'?: string;
}

export interface Ftps {
  readonly url: string;
  readonly readahead?: number;
  readonly timeout?: number;
  readonly username?: string;
  readonly 'password-secret'?: string;
  readonly 'proxy-username'?: string;
  readonly 'proxy-password-secret'?: string;
  readonly sslverify?: boolean;
}

export interface Http {
  readonly url: string;
  readonly readahead?: number;
  readonly timeout?: number;
  readonly username?: string;
  readonly 'password-secret'?: string;
  readonly 'proxy-username'?: string;
  readonly 'proxy-password-secret'?: string;
  readonly cookie?: string;
  readonly 'cookie-secret'?: string;
  readonly 'force-range'?: boolean;
}

export interface Https {
  readonly url: string;
  readonly readahead?: number;
  readonly timeout?: number;
  readonly username?: string;
  readonly 'password-secret'?: string;
  readonly 'proxy-username'?: string;
  readonly 'proxy-password-secret'?: string;
  readonly cookie?: string;
  readonly 'cookie-secret'?: string;
  readonly 'force-range'?: boolean;
  readonly sslverify?: boolean;
}

export interface IoUring {
  readonly filename: string;
}

export interface Iscsi {
  readonly transport: IscsiTransport;
  readonly portal: string;
  readonly target: string;
  readonly lun?: number;
  readonly user?: string;
  readonly 'password-secret'?: string;
  readonly 'initiator-name'?: string;
  readonly 'header-digest'?: HeaderDigest;
  readonly timeout?: number;
}

export interface BlockdevAddLuks {
  readonly file: BlkdebugImage;
  readonly 'key-secret'?: string;
  readonly header?: BlkdebugImage;
}

export interface BlockdevAddNbd {
  readonly server: QueryMigrateSocketAddress;
  readonly export?: string;
  readonly 'tls-creds'?: string;
  readonly 'tls-hostname'?: string;
  /** Unstable: may change or go. */
  readonly 'x-dirty-bitmap'?: string;
  readonly 'reconnect-delay'?: number;
  readonly 'open-timeout'?: number;
}

export interface BlockdevAddNfs {
  readonly server: BlockdevAddNfsServer;
  readonly path: string;
  readonly user?: number;
  readonly group?: number;
  readonly 'tcp-syn-count'?: number;
  readonly 'readahead-size'?: number;
  readonly 'page-cache-size'?: number;
  readonly debug?: number;
}

export interface BlockdevAddNullAio {
  readonly size?: number;
  readonly 'latency-ns'?: number;
  readonly 'read-zeroes'?: boolean;
}

export interface BlockdevAddNvme {
  readonly device: string;
  readonly namespace: number;
}

export interface NvmeIoUring {
  readonly path: string;
}

export interface Preallocate {
  readonly file: BlkdebugImage;
  readonly 'prealloc-align'?: number;
  readonly 'prealloc-size'?: number;
}

export interface BlockdevAddQcow2 {
  readonly file: BlkdebugImage;
  readonly backing?: BlockdevAddQcow2Backing;
  readonly 'lazy-refcounts'?: boolean;
  readonly 'pass-discard-request'?: boolean;
  readonly 'pass-discard-snapshot'?: boolean;
  readonly 'pass-discard-other'?: boolean;
  readonly 'discard-no-unref'?: boolean;
  readonly 'overlap-check'?: OverlapCheck;
  readonly 'cache-size'?: number;
  readonly 'l2-cache-size'?: number;
  readonly 'l2-cache-entry-size'?: number;
  readonly 'refcount-cache-size'?: number;
  readonly 'cache-clean-interval'?: number;
  readonly encrypt?: BlockdevAddQcow2Encrypt;
  readonly 'data-file'?: BlkdebugImage;
}

export interface BlockdevAddQcow {
  readonly file: BlkdebugImage;
  readonly backing?: BlockdevAddQcow2Backing;
  readonly encrypt?: BlockdevAddQcowEncrypt;
}

export interface BlockdevAddQed {
  readonly file: BlkdebugImage;
  readonly backing?: BlockdevAddQcow2Backing;
}

export interface Quorum {
  readonly blkverify?: boolean;
  readonly children: readonly BlkdebugImage[];
  readonly 'vote-threshold': number;
  readonly 'rewrite-corrupted'?: boolean;
  readonly 'read-pattern'?: ReadPattern;
}

export interface BlockdevAddRaw {
  readonly file: BlkdebugImage;
  readonly offset?: number;
  readonly size?: number;
}

export interface BlockdevAddRbd {
  readonly pool: string;
  readonly namespace?: string;
  readonly image: string;
  readonly conf?: string;
  readonly snapshot?: string;
  readonly encrypt?: BlockdevAddRbdEncrypt;
  readonly user?: string;
  readonly 'auth-client-required'?: readonly AuthClientRequired[];
  readonly 'key-secret'?: string;
  readonly server?: readonly BlockdevAddRbdServer[];
}

export interface Replication {
  readonly file: BlkdebugImage;
  readonly mode: ReplicationMode;
  readonly 'top-id'?: string;
}

export interface BlockdevAddSsh {
  readonly server: BlockdevAddSshServer;
  readonly path: string;
  readonly user?: string;
  readonly 'host-key-check'?: HostKeyCheck;
}

export interface Throttle {
  readonly 'throttle-group': string;
  readonly file: BlkdebugImage;
}

export interface VirtioBlkVfioPci {
  readonly path: string;
}

export interface VirtioBlkVhostUser {
  readonly path: string;
}

export interface VirtioBlkVhostVdpa {
  readonly path: string;
}

export interface Vvfat {
  readonly dir: string;
  readonly 'fat-type'?: number;
  readonly floppy?: boolean;
  readonly label?: string;
  readonly rw?: boolean;
}

export type Sync = 'top' | 'full' | 'none' | 'incremental' | 'bitmap';

export type BitmapMode = 'on-success' | 'never' | 'always';

export type OnCbwError = 'break-guest-write' | 'break-snapshot';

export interface XPerf {
  readonly 'use-copy-range'?: boolean;
  readonly 'max-workers'?: number;
  readonly 'max-chunk'?: number;
  readonly 'min-cluster-size'?: number;
}

export type ReadOnlyMode = 'retain' | 'read-only' | 'read-write';

export type BlockdevCreateOptions =
  | ({ readonly driver: 'file' } & BlockdevCreateOptionsFile)
  | ({ readonly driver: 'luks' } & BlockdevCreateOptionsLuks)
  | ({ readonly driver: 'nfs' } & BlockdevCreateOptionsNfs)
  | ({ readonly driver: 'parallels' } & BlockdevCreateOptionsParallels)
  | ({ readonly driver: 'qcow' } & BlockdevCreateOptionsQcow)
  | ({ readonly driver: 'qcow2' } & BlockdevCreateOptionsQcow2)
  | ({ readonly driver: 'qed' } & BlockdevCreateOptionsQed)
  | ({ readonly driver: 'rbd' } & BlockdevCreateOptionsRbd)
  | ({ readonly driver: 'ssh' } & BlockdevCreateOptionsSsh)
  | ({ readonly driver: 'vdi' } & BlockdevCreateOptionsVdi)
  | ({ readonly driver: 'vhdx' } & BlockdevCreateOptionsVhdx)
  | ({ readonly driver: 'vmdk' } & BlockdevCreateOptionsVmdk)
  | ({ readonly driver: 'vpc' } & BlockdevCreateOptionsVpc)
  | {
      readonly driver:
        | 'blkdebug'
        | 'blklogwrites'
        | 'blkreplay'
        | 'blkverify'
        | 'bochs'
        | 'cloop'
        | 'compress'
        | 'copy-before-write'
        | 'copy-on-read'
        | 'dmg'
        | 'snapshot-access'
        | 'ftp'
        | 'ftps'
        | 'host_cdrom'
        | 'host_device'
        | 'http'
        | 'https'
        | 'io_uring'
        | 'iscsi'
        | 'nbd'
        | 'null-aio'
        | 'null-co'
        | 'nvme'
        | 'nvme-io_uring'
        | 'preallocate'
        | 'quorum'
        | 'raw'
        | 'replication'
        | 'throttle'
        | 'virtio-blk-vfio-pci'
        | 'virtio-blk-vhost-user'
        | 'virtio-blk-vhost-vdpa'
        | 'vvfat';
    };

export type CopyMode = 'background' | 'write-blocking';

export type BlockdevSnapshotSyncMode = 'existing' | 'absolute-paths';

export type CalcTimeUnit = 'second' | 'millisecond';

export type CalcDirtyRateMode = 'page-sampling' | 'dirty-ring' | 'dirty-bitmap';

export type Backend =
  | ({ readonly type: 'file' } & BackendFile)
  | ({ readonly type: 'serial' | 'parallel' | 'pipe' } & BackendSerial)
  | ({ readonly type: 'socket' } & BackendSocket)
  | ({ readonly type: 'udp' } & Udp)
  | ({ readonly type: 'pty' } & Pty)
  | ({ readonly type: 'null' | 'msmouse' | 'wctablet' | 'braille' | 'testdev' } & BackendNull)
  | ({ readonly type: 'mux' } & Mux)
  | ({ readonly type: 'hub' } & Hub)
  | ({ readonly type: 'stdio' } & Stdio)
  | ({ readonly type: 'spicevmc' } & Spicevmc)
  | ({ readonly type: 'spiceport' } & Spiceport)
  | ({ readonly type: 'qemu-vdagent' } & QemuVdagent)
  | ({ readonly type: 'dbus' } & BackendDbus)
  | ({ readonly type: 'vc' } & Vc)
  | ({ readonly type: 'ringbuf' | 'memory' } & BackendRingbuf);

export type SelectionPolicy = 'free' | 'contiguous' | 'prescriptive' | 'enable-shared-access';

export interface CxlAddDynamicCapacityExtents {
  readonly offset: number;
  readonly len: number;
}

export type CxlInjectCorrectableErrorType =
  | 'cache-data-ecc'
  | 'mem-data-ecc'
  | 'crc-threshold'
  | 'retry-threshold'
  | 'cache-poison-received'
  | 'mem-poison-received'
  | 'physical';

export type CxlInjectDramEventLog = 'informational' | 'warning' | 'failure' | 'fatal';

export interface Errors {
  readonly type: ErrorsType;
  readonly header: readonly number[];
}

export type RemovalPolicy = 'tag-based' | 'prescriptive';

export type DisplayReloadType = 'vnc';

export interface DisplayReloadVnc {
  readonly 'tls-certs'?: boolean;
}

export type DisplayUpdateType = 'vnc';

export interface DisplayUpdateVnc {
  readonly addresses?: readonly QueryMigrateSocketAddress[];
}

export type DumpGuestMemoryFormat =
  | 'elf'
  | 'kdump-zlib'
  | 'kdump-lzo'
  | 'kdump-snappy'
  | 'kdump-raw-zlib'
  | 'kdump-raw-lzo'
  | 'kdump-raw-snappy'
  | 'win-dmp';

export type Protocol = 'vnc' | 'spice';

export interface ExpirePasswordVnc {
  readonly display?: string;
}

export type Events2 =
  | ({ readonly type: 'key' } & Events2Key)
  | ({ readonly type: 'btn' } & Btn)
  | ({ readonly type: 'rel' | 'abs' } & Events2Rel)
  | ({ readonly type: 'mtt' } & Mtt);

export interface MigrateChannels {
  readonly 'channel-type': ChannelType;
  readonly addr: MigrateChannelsAddr;
}

export type MigrateContinueState =
  | 'none'
  | 'setup'
  | 'cancelling'
  | 'cancelled'
  | 'active'
  | 'postcopy-device'
  | 'postcopy-active'
  | 'postcopy-paused'
  | 'postcopy-recover-setup'
  | 'postcopy-recover'
  | 'completed'
  | 'failing'
  | 'failed'
  | 'colo'
  | 'pre-switchover'
  | 'device'
  | 'wait-unplug';

export type MigrateSetParametersTlsCreds = string | null;

export type MultifdCompression = 'none' | 'zlib' | 'zstd';

export interface BlockBitmapMapping {
  readonly 'node-name': string;
  readonly alias: string;
  readonly bitmaps: readonly BlockBitmapMappingBitmaps[];
}

export type MigrateSetParametersMode = 'normal' | 'cpr-reboot' | 'cpr-transfer' | 'cpr-exec';

export type ZeroPageDetection = 'none' | 'legacy' | 'multifd';

export type NbdServerStartAddr =
  | ({ readonly type: 'inet' } & NbdServerStartAddrInet)
  | ({ readonly type: 'unix' } & NbdServerStartAddrUnix)
  | ({ readonly type: 'vsock' } & NbdServerStartAddrVsock)
  | ({ readonly type: 'fd' } & NbdServerStartAddrFd);

export type NetdevAddType =
  | 'none'
  | 'nic'
  | 'user'
  | 'tap'
  | 'l2tpv3'
  | 'socket'
  | 'stream'
  | 'dgram'
  | 'vde'
  | 'bridge'
  | 'hubport'
  | 'netmap'
  | 'vhost-user'
  | 'vhost-vdpa'
  | 'passt';

export interface Nic {
  readonly netdev?: string;
  readonly macaddr?: string;
  readonly model?: string;
  readonly addr?: string;
  readonly vectors?: number;
}

export interface Passt {
  readonly path?: string;
  readonly quiet?: boolean;
  readonly 'vhost-user'?: boolean;
  readonly mtu?: number;
  readonly address?: string;
  readonly netmask?: string;
  readonly mac?: string;
  readonly gateway?: string;
  readonly interface?: string;
  readonly outbound?: string;
  readonly 'outbound-if4'?: string;
  readonly 'outbound-if6'?: string;
  readonly dns?: string;
  readonly search?: readonly Search[];
  readonly fqdn?: string;
  readonly 'dhcp-dns'?: boolean;
  readonly 'dhcp-search'?: boolean;
  readonly 'map-host-loopback'?: string;
  readonly 'map-guest-addr'?: string;
  readonly 'dns-forward'?: string;
  readonly 'dns-host'?: string;
  readonly tcp?: boolean;
  readonly udp?: boolean;
  readonly icmp?: boolean;
  readonly dhcp?: boolean;
  readonly ndp?: boolean;
  readonly dhcpv6?: boolean;
  readonly ra?: boolean;
  readonly freebind?: boolean;
  readonly ipv4?: boolean;
  readonly ipv6?: boolean;
  readonly 'tcp-ports'?: readonly PasstTcpPorts[];
  readonly 'udp-ports'?: readonly PasstTcpPorts[];
  readonly param?: readonly Param[];
}

export interface User {
  readonly hostname?: string;
  readonly restrict?: boolean;
  readonly ipv4?: boolean;
  readonly ipv6?: boolean;
  readonly ip?: string;
  readonly net?: string;
  readonly host?: string;
  readonly tftp?: string;
  readonly bootfile?: string;
  readonly dhcpstart?: string;
  readonly dns?: string;
  readonly dnssearch?: readonly Dnssearch[];
  readonly domainname?: string;
  readonly 'ipv6-prefix'?: string;
  readonly 'ipv6-prefixlen'?: number;
  readonly 'ipv6-host'?: string;
  readonly 'ipv6-dns'?: string;
  readonly smb?: string;
  readonly smbserver?: string;
  readonly hostfwd?: readonly Hostfwd[];
  readonly guestfwd?: readonly Guestfwd[];
  readonly 'tftp-server-name'?: string;
}

export interface Tap {
  readonly ifname?: string;
  readonly fd?: string;
  readonly fds?: string;
  readonly script?: string;
  readonly downscript?: string;
  readonly br?: string;
  readonly helper?: string;
  readonly sndbuf?: number;
  readonly vnet_hdr?: boolean;
  readonly vhost?: boolean;
  readonly vhostfd?: string;
  readonly vhostfds?: string;
  readonly vhostforce?: boolean;
  readonly queues?: number;
  readonly 'poll-us'?: number;
}

export interface L2tpv3 {
  readonly src: string;
  readonly dst: string;
  readonly srcport?: string;
  readonly dstport?: string;
  readonly ipv6?: boolean;
  readonly udp?: boolean;
  readonly cookie64?: boolean;
  readonly counter?: boolean;
  readonly pincounter?: boolean;
  readonly txcookie?: number;
  readonly rxcookie?: number;
  readonly txsession: number;
  readonly rxsession?: number;
  readonly offset?: number;
}

export interface NetdevAddSocket {
  readonly fd?: string;
  readonly listen?: string;
  readonly connect?: string;
  readonly mcast?: string;
  readonly localaddr?: string;
  readonly udp?: string;
}

export interface Stream {
  readonly addr: QueryMigrateSocketAddress;
  readonly server?: boolean;
  readonly 'reconnect-ms'?: number;
}

export interface Dgram {
  readonly local?: QueryMigrateSocketAddress;
  readonly remote?: QueryMigrateSocketAddress;
}

export interface Vde {
  readonly sock?: string;
  readonly port?: number;
  readonly group?: string;
  readonly mode?: number;
}

export interface Bridge {
  readonly br?: string;
  readonly helper?: string;
}

export interface Hubport {
  readonly hubid: number;
  readonly netdev?: string;
}

export interface Netmap {
  readonly ifname: string;
  readonly devname?: string;
}

export interface VhostUser {
  readonly chardev: string;
  readonly vhostforce?: boolean;
  readonly queues?: number;
}

export interface VhostVdpa {
  readonly vhostdev?: string;
  readonly vhostfd?: string;
  readonly queues?: number;
  /** Unstable: may change or go. */
  readonly 'x-svq'?: boolean;
}

/** Unstable: x-remote-object, x-vfio-user-server. */
export type QomType =
  | 'acpi-generic-initiator'
  | 'acpi-generic-port'
  | 'authz-list'
  | 'authz-listfile'
  | 'authz-pam'
  | 'authz-simple'
  | 'can-bus'
  | 'can-host-socketcan'
  | 'colo-compare'
  | 'cryptodev-backend'
  | 'cryptodev-backend-builtin'
  | 'cryptodev-backend-lkcf'
  | 'cryptodev-vhost-user'
  | 'dbus-vmstate'
  | 'filter-buffer'
  | 'filter-dump'
  | 'filter-mirror'
  | 'filter-redirector'
  | 'filter-replay'
  | 'filter-rewriter'
  | 'input-barrier'
  | 'input-linux'
  | 'iommufd'
  | 'iothread'
  | 'main-loop'
  | 'memory-backend-epc'
  | 'memory-backend-file'
  | 'memory-backend-memfd'
  | 'memory-backend-ram'
  | 'memory-backend-shm'
  | 'monitor-hmp'
  | 'monitor-qmp'
  | 'pef-guest'
  | 'pr-manager-helper'
  | 'qtest'
  | 'rng-builtin'
  | 'rng-egd'
  | 'rng-random'
  | 'secret'
  | 'secret_keyring'
  | 'sev-guest'
  | 'sev-snp-guest'
  | 'thread-context'
  | 's390-pv-guest'
  | 'tdx-guest'
  | 'throttle-group'
  | 'tls-creds-anon'
  | 'tls-creds-psk'
  | 'tls-creds-x509'
  | 'tls-cipher-suites'
  | 'x-remote-object'
  | 'x-vfio-user-server';

export interface AcpiGenericInitiator {
  readonly 'pci-dev': string;
  readonly node: number;
}

export interface AcpiGenericPort {
  readonly 'pci-bus': string;
  readonly node: number;
}

export interface AuthzList {
  readonly policy?: AuthzListPolicy;
  readonly rules?: readonly Rules[];
}

export interface AuthzListfile {
  readonly filename: string;
  readonly refresh?: boolean;
}

export interface AuthzPam {
  readonly service: string;
}

export interface AuthzSimple {
  readonly identity: string;
}

export interface CanHostSocketcan {
  readonly if: string;
  readonly canbus: string;
}

export interface ColoCompare {
  readonly primary_in: string;
  readonly secondary_in: string;
  readonly outdev: string;
  readonly iothread: string;
  readonly notify_dev?: string;
  readonly compare_timeout?: number;
  readonly expired_scan_cycle?: number;
  readonly max_queue_size?: number;
  readonly vnet_hdr_support?: boolean;
}

export interface ObjectAddCryptodevBackend {
  readonly queues?: number;
  readonly 'throttle-bps'?: number;
  readonly 'throttle-ops'?: number;
}

export interface CryptodevVhostUser {
  readonly queues?: number;
  readonly 'throttle-bps'?: number;
  readonly 'throttle-ops'?: number;
  readonly chardev: string;
}

export interface DbusVmstate {
  readonly addr: string;
  readonly 'id-list'?: string;
}

export interface FilterBuffer {
  readonly netdev: string;
  readonly queue?: Queue;
  readonly status?: string;
  readonly position?: string;
  readonly insert?: Insert;
  readonly interval: number;
}

export interface FilterDump {
  readonly netdev: string;
  readonly queue?: Queue;
  readonly status?: string;
  readonly position?: string;
  readonly insert?: Insert;
  readonly file: string;
  readonly maxlen?: number;
}

export interface FilterMirror {
  readonly netdev: string;
  readonly queue?: Queue;
  readonly status?: string;
  readonly position?: string;
  readonly insert?: Insert;
  readonly outdev: string;
  readonly vnet_hdr_support?: boolean;
}

export interface FilterRedirector {
  readonly netdev: string;
  readonly queue?: Queue;
  readonly status?: string;
  readonly position?: string;
  readonly insert?: Insert;
  readonly indev?: string;
  readonly outdev?: string;
  readonly vnet_hdr_support?: boolean;
}

export interface FilterReplay {
  readonly netdev: string;
  readonly queue?: Queue;
  readonly status?: string;
  readonly position?: string;
  readonly insert?: Insert;
}

export interface FilterRewriter {
  readonly netdev: string;
  readonly queue?: Queue;
  readonly status?: string;
  readonly position?: string;
  readonly insert?: Insert;
  readonly vnet_hdr_support?: boolean;
}

export interface InputBarrier {
  readonly name: string;
  readonly server?: string;
  readonly port?: string;
  readonly 'x-origin'?: string;
  readonly 'y-origin'?: string;
  readonly width?: string;
  readonly height?: string;
}

export interface InputLinux {
  readonly evdev: string;
  readonly grab_all?: boolean;
  readonly repeat?: boolean;
  readonly 'grab-toggle'?: GrabToggle;
}

export interface Iommufd {
  readonly fd?: string;
}

export interface ObjectAddIothread {
  readonly 'aio-max-batch'?: number;
  readonly 'thread-pool-min'?: number;
  readonly 'thread-pool-max'?: number;
  readonly 'poll-max-ns'?: number;
  readonly 'poll-grow'?: number;
  readonly 'poll-shrink'?: number;
  readonly 'poll-weight'?: number;
}

export interface MainLoop {
  readonly 'aio-max-batch'?: number;
  readonly 'thread-pool-min'?: number;
  readonly 'thread-pool-max'?: number;
}

export interface MemoryBackendEpc {
  readonly dump?: boolean;
  readonly 'host-nodes'?: readonly number[];
  readonly merge?: boolean;
  readonly policy?: QueryMemdevPolicy;
  readonly prealloc?: boolean;
  readonly 'prealloc-threads'?: number;
  readonly 'prealloc-context'?: string;
  readonly share?: boolean;
  readonly reserve?: boolean;
  readonly size: number;
  readonly 'x-use-canonical-path-for-ramblock-id'?: boolean;
}

export interface MemoryBackendFile {
  readonly dump?: boolean;
  readonly 'host-nodes'?: readonly number[];
  readonly merge?: boolean;
  readonly policy?: QueryMemdevPolicy;
  readonly prealloc?: boolean;
  readonly 'prealloc-threads'?: number;
  readonly 'prealloc-context'?: string;
  readonly share?: boolean;
  readonly reserve?: boolean;
  readonly size: number;
  readonly 'x-use-canonical-path-for-ramblock-id'?: boolean;
  readonly align?: number;
  readonly offset?: number;
  readonly 'discard-data'?: boolean;
  readonly 'mem-path': string;
  readonly pmem?: boolean;
  readonly readonly?: boolean;
  readonly rom?: BlockdevAddFileLocking;
}

export interface MemoryBackendMemfd {
  readonly dump?: boolean;
  readonly 'host-nodes'?: readonly number[];
  readonly merge?: boolean;
  readonly policy?: QueryMemdevPolicy;
  readonly prealloc?: boolean;
  readonly 'prealloc-threads'?: number;
  readonly 'prealloc-context'?: string;
  readonly share?: boolean;
  readonly reserve?: boolean;
  readonly size: number;
  readonly 'x-use-canonical-path-for-ramblock-id'?: boolean;
  readonly hugetlb?: boolean;
  readonly hugetlbsize?: number;
  readonly seal?: boolean;
}

export interface MemoryBackendRam {
  readonly dump?: boolean;
  readonly 'host-nodes'?: readonly number[];
  readonly merge?: boolean;
  readonly policy?: QueryMemdevPolicy;
  readonly prealloc?: boolean;
  readonly 'prealloc-threads'?: number;
  readonly 'prealloc-context'?: string;
  readonly share?: boolean;
  readonly reserve?: boolean;
  readonly size: number;
  readonly 'x-use-canonical-path-for-ramblock-id'?: boolean;
}

export interface MemoryBackendShm {
  readonly dump?: boolean;
  readonly 'host-nodes'?: readonly number[];
  readonly merge?: boolean;
  readonly policy?: QueryMemdevPolicy;
  readonly prealloc?: boolean;
  readonly 'prealloc-threads'?: number;
  readonly 'prealloc-context'?: string;
  readonly share?: boolean;
  readonly reserve?: boolean;
  readonly size: number;
  readonly 'x-use-canonical-path-for-ramblock-id'?: boolean;
}

export interface MonitorHmp {
  readonly chardev: string;
  readonly readline?: boolean;
}

export interface MonitorQmp {
  readonly chardev: string;
  readonly pretty?: boolean;
  readonly 'close-action'?: CloseAction;
}

export interface PrManagerHelper {
  readonly path: string;
}

export interface Qtest {
  readonly chardev: string;
  readonly log?: string;
}

export interface RngBuiltin {
  /** @deprecated by QEMU */
  readonly opened?: boolean;
}

export interface RngEgd {
  /** @deprecated by QEMU */
  readonly opened?: boolean;
  readonly chardev: string;
}

export interface RngRandom {
  /** @deprecated by QEMU */
  readonly opened?: boolean;
  readonly filename?: string;
}

export interface Secret {
  readonly format?: SecretFormat;
  readonly keyid?: string;
  readonly iv?: string;
  readonly data?: string;
  readonly file?: string;
}

export interface SecretKeyring {
  readonly format?: SecretFormat;
  readonly keyid?: string;
  readonly iv?: string;
  readonly serial: number;
}

export interface SevGuest {
  readonly 'sev-device'?: string;
  readonly cbitpos?: number;
  readonly 'reduced-phys-bits': number;
  readonly 'kernel-hashes'?: boolean;
  readonly 'dh-cert-file'?: string;
  readonly 'session-file'?: string;
  readonly policy?: number;
  readonly handle?: number;
  readonly 'legacy-vm-type'?: BlockdevAddFileLocking;
}

export interface SevSnpGuest {
  readonly 'sev-device'?: string;
  readonly cbitpos?: number;
  readonly 'reduced-phys-bits': number;
  readonly 'kernel-hashes'?: boolean;
  readonly policy?: number;
  readonly 'guest-visible-workarounds'?: string;
  readonly 'id-block'?: string;
  readonly 'id-auth'?: string;
  readonly 'author-key-enabled'?: boolean;
  readonly 'host-data'?: string;
  readonly 'vcek-disabled'?: boolean;
}

export interface TdxGuest {
  readonly attributes?: number;
  readonly 'sept-ve-disable'?: boolean;
  readonly mrconfigid?: string;
  readonly mrowner?: string;
  readonly mrownerconfig?: string;
  readonly 'quote-generation-socket'?: QueryMigrateSocketAddress;
}

export interface ThreadContext {
  readonly 'cpu-affinity'?: readonly number[];
  readonly 'node-affinity'?: readonly number[];
}

export interface ThrottleGroup {
  readonly limits?: ThrottleGroupLimits;
  /** Unstable: may change or go. */
  readonly 'x-iops-total'?: number;
  /** Unstable: may change or go. */
  readonly 'x-iops-total-max'?: number;
  /** Unstable: may change or go. */
  readonly 'x-iops-total-max-length'?: number;
  /** Unstable: may change or go. */
  readonly 'x-iops-read'?: number;
  /** Unstable: may change or go. */
  readonly 'x-iops-read-max'?: number;
  /** Unstable: may change or go. */
  readonly 'x-iops-read-max-length'?: number;
  /** Unstable: may change or go. */
  readonly 'x-iops-write'?: number;
  /** Unstable: may change or go. */
  readonly 'x-iops-write-max'?: number;
  /** Unstable: may change or go. */
  readonly 'x-iops-write-max-length'?: number;
  /** Unstable: may change or go. */
  readonly 'x-bps-total'?: number;
  /** Unstable: may change or go. */
  readonly 'x-bps-total-max'?: number;
  /** Unstable: may change or go. */
  readonly 'x-bps-total-max-length'?: number;
  /** Unstable: may change or go. */
  readonly 'x-bps-read'?: number;
  /** Unstable: may change or go. */
  readonly 'x-bps-read-max'?: number;
  /** Unstable: may change or go. */
  readonly 'x-bps-read-max-length'?: number;
  /** Unstable: may change or go. */
  readonly 'x-bps-write'?: number;
  /** Unstable: may change or go. */
  readonly 'x-bps-write-max'?: number;
  /** Unstable: may change or go. */
  readonly 'x-bps-write-max-length'?: number;
  /** Unstable: may change or go. */
  readonly 'x-iops-size'?: number;
}

export interface TlsCredsAnon {
  readonly 'verify-peer'?: boolean;
  readonly dir?: string;
  readonly endpoint?: Endpoint;
  readonly priority?: string;
}

export interface TlsCredsPsk {
  readonly 'verify-peer'?: boolean;
  readonly dir?: string;
  readonly endpoint?: Endpoint;
  readonly priority?: string;
  readonly username?: string;
}

export interface TlsCredsX509 {
  readonly 'verify-peer'?: boolean;
  readonly dir?: string;
  readonly endpoint?: Endpoint;
  readonly priority?: string;
  readonly 'sanity-check'?: boolean;
  readonly passwordid?: string;
}

export interface TlsCipherSuites {
  readonly 'verify-peer'?: boolean;
  readonly dir?: string;
  readonly endpoint?: Endpoint;
  readonly priority?: string;
}

export interface XRemoteObject {
  readonly fd: string;
  readonly devid: string;
}

export interface XVfioUserServer {
  readonly socket: QueryMigrateSocketAddress;
  readonly device: string;
}

export type Enable = 'oob';

export interface QomListGetProperties {
  readonly name: string;
  readonly type: string;
  readonly value?: unknown;
}

export type QueryAcceleratorsEnabled =
  'hvf' | 'kvm' | 'mshv' | 'nvmm' | 'qtest' | 'tcg' | 'whpx' | 'xen';

export type SlotType = 'DIMM' | 'CPU';

export type QueryAudiodevsDriver =
  'none' | 'alsa' | 'dbus' | 'jack' | 'oss' | 'pa' | 'pipewire' | 'sdl' | 'spice' | 'wav';

export interface QueryAudiodevsNone {
  readonly in?: QueryAudiodevsNoneIn;
  readonly out?: QueryAudiodevsNoneIn;
}

export interface Alsa {
  readonly in?: AlsaIn;
  readonly out?: AlsaIn;
  readonly threshold?: number;
}

export interface QueryAudiodevsDbus {
  readonly in?: QueryAudiodevsNoneIn;
  readonly out?: QueryAudiodevsNoneIn;
  readonly nsamples?: number;
}

export interface Jack {
  readonly in?: JackIn;
  readonly out?: JackIn;
}

export interface Oss {
  readonly in?: OssIn;
  readonly out?: OssIn;
  readonly 'try-mmap'?: boolean;
  readonly exclusive?: boolean;
  readonly 'dsp-policy'?: number;
}

export interface Pa {
  readonly in?: PaIn;
  readonly out?: PaIn;
  readonly server?: string;
}

export interface Pipewire {
  readonly in?: PipewireIn;
  readonly out?: PipewireIn;
}

export interface QueryAudiodevsSdl {
  readonly in?: QueryAudiodevsSdlIn;
  readonly out?: QueryAudiodevsSdlIn;
}

export interface Wav {
  readonly in?: QueryAudiodevsNoneIn;
  readonly out?: QueryAudiodevsNoneIn;
  readonly path?: string;
}

export type IoStatus = 'ok' | 'failed' | 'nospace';

export type QueryBlockJobsStatus =
  | 'undefined'
  | 'created'
  | 'running'
  | 'paused'
  | 'ready'
  | 'standby'
  | 'waiting'
  | 'pending'
  | 'aborting'
  | 'concluded'
  | 'null';

export interface QueryBlockJobsMirror {
  readonly 'actively-synced': boolean;
}

export interface QueryBlockstatsStats {
  readonly rd_bytes: number;
  readonly wr_bytes: number;
  readonly zone_append_bytes: number;
  readonly unmap_bytes: number;
  readonly rd_operations: number;
  readonly wr_operations: number;
  readonly zone_append_operations: number;
  readonly flush_operations: number;
  readonly unmap_operations: number;
  readonly rd_total_time_ns: number;
  readonly wr_total_time_ns: number;
  readonly zone_append_total_time_ns: number;
  readonly flush_total_time_ns: number;
  readonly unmap_total_time_ns: number;
  readonly wr_highest_offset: number;
  readonly rd_merged: number;
  readonly wr_merged: number;
  readonly zone_append_merged: number;
  readonly unmap_merged: number;
  readonly idle_time_ns?: number;
  readonly failed_rd_operations: number;
  readonly failed_wr_operations: number;
  readonly failed_zone_append_operations: number;
  readonly failed_flush_operations: number;
  readonly failed_unmap_operations: number;
  readonly invalid_rd_operations: number;
  readonly invalid_wr_operations: number;
  readonly invalid_zone_append_operations: number;
  readonly invalid_flush_operations: number;
  readonly invalid_unmap_operations: number;
  readonly account_invalid: boolean;
  readonly account_failed: boolean;
  readonly timed_stats: readonly TimedStats[];
  readonly rd_latency_histogram?: QueryBlockstatsStatsRdLatencyHistogram;
  readonly wr_latency_histogram?: QueryBlockstatsStatsRdLatencyHistogram;
  readonly zone_append_latency_histogram?: QueryBlockstatsStatsRdLatencyHistogram;
  readonly flush_latency_histogram?: QueryBlockstatsStatsRdLatencyHistogram;
}

export type DriverSpecific =
  | ({ readonly driver: 'file' | 'host_device' } & DriverSpecificFile)
  | ({ readonly driver: 'nvme' } & DriverSpecificNvme)
  | {
      readonly driver:
        | 'blkdebug'
        | 'blklogwrites'
        | 'blkreplay'
        | 'blkverify'
        | 'bochs'
        | 'cloop'
        | 'compress'
        | 'copy-before-write'
        | 'copy-on-read'
        | 'dmg'
        | 'snapshot-access'
        | 'ftp'
        | 'ftps'
        | 'host_cdrom'
        | 'http'
        | 'https'
        | 'io_uring'
        | 'iscsi'
        | 'luks'
        | 'nbd'
        | 'nfs'
        | 'null-aio'
        | 'null-co'
        | 'nvme-io_uring'
        | 'parallels'
        | 'preallocate'
        | 'qcow'
        | 'qcow2'
        | 'qed'
        | 'quorum'
        | 'raw'
        | 'rbd'
        | 'replication'
        | 'ssh'
        | 'throttle'
        | 'vdi'
        | 'vhdx'
        | 'virtio-blk-vfio-pci'
        | 'virtio-blk-vhost-user'
        | 'virtio-blk-vhost-vdpa'
        | 'vmdk'
        | 'vpc'
        | 'vvfat';
    };

export type QueryColoStatusMode = 'none' | 'primary' | 'secondary';

export type QueryColoStatusReason = 'none' | 'request' | 'error' | 'processing';

export interface Parameters {
  readonly name: string;
  readonly type: ParametersType;
  readonly help?: string;
  readonly default?: string;
}

export interface QueryCpuModelBaselineModela {
  readonly name: string;
  readonly props?: unknown;
}

export type QueryCpuModelComparisonResult = 'incompatible' | 'identical' | 'superset' | 'subset';

export type QueryCpuModelExpansionType = 'static' | 'full';

export interface Props {
  readonly 'node-id'?: number;
  readonly 'drawer-id'?: number;
  readonly 'book-id'?: number;
  readonly 'socket-id'?: number;
  readonly 'die-id'?: number;
  readonly 'cluster-id'?: number;
  readonly 'module-id'?: number;
  readonly 'core-id'?: number;
  readonly 'thread-id'?: number;
}

export type QueryCpusFastTarget =
  | 'aarch64'
  | 'alpha'
  | 'arm'
  | 'avr'
  | 'hexagon'
  | 'hppa'
  | 'i386'
  | 'loongarch64'
  | 'm68k'
  | 'microblaze'
  | 'mips'
  | 'mips64'
  | 'mips64el'
  | 'mipsel'
  | 'or1k'
  | 'ppc'
  | 'ppc64'
  | 'riscv32'
  | 'riscv64'
  | 'rx'
  | 's390x'
  | 'sh4'
  | 'sh4eb'
  | 'sparc'
  | 'sparc64'
  | 'tricore'
  | 'x86_64'
  | 'xtensa'
  | 'xtensaeb';

export interface S390x {
  readonly 'cpu-state': CpuState;
  readonly dedicated?: boolean;
  readonly entitlement?: Entitlement;
}

export type Service = 'cipher' | 'hash' | 'mac' | 'aead' | 'akcipher';

export interface QueryCryptodevClient {
  readonly queue: number;
  readonly type: QueryCryptodevClientType;
}

export type QueryDirtyRateStatus = 'unstarted' | 'measuring' | 'measured';

export interface VcpuDirtyRate {
  readonly id: number;
  readonly 'dirty-rate': number;
}

export type QueryDisplayOptionsType =
  'default' | 'none' | 'gtk' | 'sdl' | 'egl-headless' | 'curses' | 'spice-app' | 'dbus';

export type Gl = 'off' | 'on' | 'core' | 'es';

export interface Gtk {
  readonly clipboard?: boolean;
  readonly 'grab-on-hover'?: boolean;
  readonly 'zoom-to-fit'?: boolean;
  readonly 'show-tabs'?: boolean;
  readonly 'show-menubar'?: boolean;
  readonly 'keep-aspect-ratio'?: boolean;
  readonly scale?: number;
}

export interface Curses {
  readonly charset?: string;
}

export interface EglHeadless {
  readonly rendernode?: string;
}

export interface QueryDisplayOptionsDbus {
  readonly rendernode?: string;
  readonly addr?: string;
  readonly p2p?: boolean;
  readonly audiodev?: string;
}

export interface QueryDisplayOptionsSdl {
  readonly 'grab-mod'?: GrabMod;
}

export type QueryDumpStatus = 'none' | 'active' | 'completed' | 'failed';

export interface Fds {
  readonly fd: number;
  readonly opaque?: string;
}

export interface CompatProps {
  readonly 'qom-type': string;
  readonly property: string;
  readonly value: string;
}

export type QueryMemdevPolicy = 'default' | 'preferred' | 'bind' | 'interleave';

export type QueryMemoryDevicesType =
  'dimm' | 'nvdimm' | 'virtio-pmem' | 'virtio-mem' | 'sgx-epc' | 'hv-balloon' | 'sp-mem';

export interface QueryMemoryDevicesDimm {
  readonly data: QueryMemoryDevicesDimmData;
}

export interface VirtioPmem {
  readonly data: VirtioPmemData;
}

export interface VirtioMem {
  readonly data: VirtioMemData;
}

export interface SgxEpc {
  readonly data: SgxEpcData;
}

export interface HvBalloon {
  readonly data: HvBalloonData;
}

export interface SpMem {
  readonly data: SpMemData;
}

export interface Ram {
  readonly transferred: number;
  readonly remaining: number;
  readonly total: number;
  readonly duplicate: number;
  readonly normal: number;
  readonly 'normal-bytes': number;
  readonly 'dirty-pages-rate': number;
  readonly mbps: number;
  readonly 'dirty-sync-count': number;
  readonly 'postcopy-requests': number;
  readonly 'page-size': number;
  readonly 'multifd-bytes': number;
  readonly 'pages-per-second': number;
  readonly 'precopy-bytes': number;
  readonly 'downtime-bytes': number;
  readonly 'postcopy-bytes': number;
  readonly 'dirty-sync-missed-zero-copy': number;
}

export interface Vfio {
  readonly transferred: number;
}

export interface XbzrleCache {
  readonly 'cache-size': number;
  readonly bytes: number;
  readonly pages: number;
  readonly 'cache-miss': number;
  readonly 'cache-miss-rate': number;
  readonly 'encoding-rate': number;
  readonly overflow: number;
}

export type QueryMigrateSocketAddress =
  | ({ readonly type: 'inet' } & BlockdevAddSshServer)
  | ({ readonly type: 'unix' } & QueryMigrateSocketAddressUnix)
  | ({ readonly type: 'vsock' } & QueryMigrateSocketAddressVsock)
  | ({ readonly type: 'fd' } & QueryMigrateSocketAddressFd);

/** Unstable: x-colo, x-ignore-shared. */
export type Capability =
  | 'xbzrle'
  | 'rdma-pin-all'
  | 'auto-converge'
  | 'events'
  | 'postcopy-ram'
  | 'x-colo'
  | 'release-ram'
  | 'return-path'
  | 'pause-before-switchover'
  | 'multifd'
  | 'dirty-bitmaps'
  | 'postcopy-blocktime'
  | 'late-block-activate'
  | 'x-ignore-shared'
  | 'validate-uuid'
  | 'background-snapshot'
  | 'zero-copy-send'
  | 'postcopy-preempt'
  | 'switchover-ack'
  | 'dirty-limit'
  | 'mapped-ram';

export interface QueryNamedBlockNodesChildren {
  readonly child: string;
  readonly 'node-name': string;
}

export interface QueryNamedBlockNodesImage {
  readonly filename: string;
  readonly format: string;
  readonly 'dirty-flag'?: boolean;
  readonly 'actual-size'?: number;
  readonly 'virtual-size': number;
  readonly 'cluster-size'?: number;
  readonly encrypted?: boolean;
  readonly compressed?: boolean;
  readonly 'backing-filename'?: string;
  readonly 'full-backing-filename'?: string;
  readonly 'backing-filename-format'?: string;
  readonly snapshots?: readonly BlockdevSnapshotDeleteInternalSyncReturn[];
  readonly limits?: QueryNamedBlockNodesImageLimits;
  readonly 'format-specific'?: FormatSpecific;
  readonly 'backing-image'?: QueryNamedBlockNodesImage;
}

export interface QueryNamedBlockNodesCache {
  readonly writeback: boolean;
  readonly direct: boolean;
  readonly 'no-flush': boolean;
}

export interface DirtyBitmaps {
  readonly name?: string;
  readonly count: number;
  readonly granularity: number;
  readonly recording: boolean;
  readonly busy: boolean;
  readonly persistent: boolean;
  readonly inconsistent?: boolean;
}

export interface Devices {
  readonly bus: number;
  readonly slot: number;
  readonly function: number;
  readonly class_info: ClassInfo;
  readonly id: DevicesId;
  readonly irq?: number;
  readonly irq_pin: number;
  readonly qdev_id: string;
  readonly pci_bridge?: PciBridge;
  readonly regions: readonly Regions[];
}

export type MetaType = 'builtin' | 'enum' | 'array' | 'object' | 'alternate' | 'command' | 'event';

export interface Builtin {
  readonly 'json-type': JsonType;
}

export interface Enum {
  readonly members: readonly EnumMembers[];
  /** @deprecated by QEMU */
  readonly values: readonly string[];
}

export interface Array {
  readonly 'element-type': string;
}

export interface Object2 {
  readonly members: readonly Object2Members[];
  readonly tag?: string;
  readonly variants?: readonly Variants[];
}

export interface Alternate {
  readonly members: readonly AlternateMembers[];
}

export interface Command {
  readonly 'arg-type': string;
  readonly 'ret-type': string;
  readonly 'allow-oob'?: boolean;
}

export interface QueryQmpSchemaEvent {
  readonly 'arg-type': string;
}

export type QueryReplayMode = 'none' | 'record' | 'play';

export interface QueryRockerOfDpaFlowsKey {
  readonly priority: number;
  readonly 'tbl-id': number;
  readonly 'in-pport'?: number;
  readonly 'tunnel-id'?: number;
  readonly 'vlan-id'?: number;
  readonly 'eth-type'?: number;
  readonly 'eth-src'?: string;
  readonly 'eth-dst'?: string;
  readonly 'ip-proto'?: number;
  readonly 'ip-tos'?: number;
  readonly 'ip-dst'?: string;
}

export interface Mask {
  readonly 'in-pport'?: number;
  readonly 'tunnel-id'?: number;
  readonly 'vlan-id'?: number;
  readonly 'eth-src'?: string;
  readonly 'eth-dst'?: string;
  readonly 'ip-proto'?: number;
  readonly 'ip-tos'?: number;
}

export interface QueryRockerOfDpaFlowsAction {
  readonly 'goto-tbl'?: number;
  readonly 'group-id'?: number;
  readonly 'tunnel-lport'?: number;
  readonly 'vlan-id'?: number;
  readonly 'new-vlan-id'?: number;
  readonly 'out-pport'?: number;
}

export type Duplex = 'half' | 'full';

export type Autoneg = 'off' | 'on';

export type QueryRxFilterMulticast = 'normal' | 'none' | 'all';

export type Polarization = 'horizontal' | 'vertical';

export type QuerySevState =
  'uninit' | 'launch-update' | 'launch-secret' | 'running' | 'send-update' | 'receive-update';

export type SevType = 'sev' | 'sev-snp';

export interface QuerySevSev {
  readonly policy: number;
  readonly handle: number;
}

export interface SevSnp {
  readonly 'snp-policy': number;
}

export interface Sections {
  readonly node: number;
  readonly size: number;
}

export type MouseMode = 'client' | 'server' | 'unknown';

export interface QuerySpiceChannels {
  readonly host: string;
  readonly port: string;
  readonly family: Family;
  readonly 'connection-id': number;
  readonly 'channel-type': number;
  readonly 'channel-id': number;
  readonly tls: boolean;
}

export type QueryStatsTarget = 'vm' | 'vcpu' | 'cryptodev';

export interface Providers {
  readonly provider: Provider;
  readonly names?: readonly string[];
}

export interface Vcpu {
  readonly vcpus?: readonly string[];
}

export type Provider = 'kvm' | 'cryptodev';

export interface QueryStatsStats {
  readonly name: string;
  readonly value: Value;
}

export interface QueryStatsSchemasStats {
  readonly name: string;
  readonly type: QueryStatsSchemasStatsType;
  readonly unit?: Unit;
  readonly base?: number;
  readonly exponent: number;
  readonly 'bucket-size'?: number;
}

export type QueryStatusStatus =
  | 'debug'
  | 'inmigrate'
  | 'internal-error'
  | 'io-error'
  | 'paused'
  | 'postmigrate'
  | 'prelaunch'
  | 'finish-migrate'
  | 'restore-vm'
  | 'running'
  | 'save-vm'
  | 'shutdown'
  | 'suspended'
  | 'watchdog'
  | 'guest-panicked'
  | 'colo';

export type QueryTpmOptions =
  ({ readonly type: 'passthrough' } & Passthrough) | ({ readonly type: 'emulator' } & Emulator);

export interface Qemu {
  readonly major: number;
  readonly minor: number;
  readonly micro: number;
}

export type Family = 'ipv4' | 'ipv6' | 'unix' | 'vsock' | 'unknown';

export interface QueryVncClients {
  readonly host: string;
  readonly service: string;
  readonly family: Family;
  readonly websocket: boolean;
  readonly x509_dname?: string;
  readonly sasl_username?: string;
}

export interface QueryVncServersServer {
  readonly host: string;
  readonly service: string;
  readonly family: Family;
  readonly websocket: boolean;
  readonly auth: Auth;
  readonly vencrypt?: Vencrypt;
}

export type Auth =
  'none' | 'vnc' | 'ra2' | 'ra2ne' | 'tight' | 'ultra' | 'tls' | 'vencrypt' | 'sasl';

export type Vencrypt =
  | 'plain'
  | 'tls-none'
  | 'x509-none'
  | 'tls-vnc'
  | 'x509-vnc'
  | 'tls-plain'
  | 'x509-plain'
  | 'tls-sasl'
  | 'x509-sasl';

export type QueryYankType = 'block-node' | 'chardev' | 'migration';

export interface BlockNode {
  readonly 'node-name': string;
}

export interface Chardev {
  readonly id: string;
}

export type RequestEbpfId = 'rss';

export type RingbufReadFormat = 'utf8' | 'base64';

export type ScreendumpFormat = 'ppm' | 'png';

export type SendKeyKeys =
  ({ readonly type: 'number' } & Number) | ({ readonly type: 'qcode' } & Qcode);

export type Reboot = 'reset' | 'shutdown';

export type Shutdown = 'poweroff' | 'pause';

export type Panic = 'pause' | 'shutdown' | 'exit-failure' | 'none';

export type SetActionWatchdog =
  'reset' | 'shutdown' | 'poweroff' | 'pause' | 'debug' | 'none' | 'inject-nmi';

export type Entitlement = 'auto' | 'low' | 'medium' | 'high';

export type SetNumaNodeType = 'node' | 'dist' | 'cpu' | 'hmat-lb' | 'hmat-cache';

export interface Node {
  readonly nodeid?: number;
  readonly cpus?: readonly number[];
  readonly mem?: number;
  readonly memdev?: string;
  readonly initiator?: number;
}

export interface Dist {
  readonly src: number;
  readonly dst: number;
  readonly val: number;
}

export interface Cpu {
  readonly 'node-id'?: number;
  readonly 'drawer-id'?: number;
  readonly 'book-id'?: number;
  readonly 'socket-id'?: number;
  readonly 'die-id'?: number;
  readonly 'cluster-id'?: number;
  readonly 'module-id'?: number;
  readonly 'core-id'?: number;
  readonly 'thread-id'?: number;
}

export interface HmatLb {
  readonly initiator: number;
  readonly target: number;
  readonly hierarchy: Hierarchy;
  readonly 'data-type': DataType;
  readonly latency?: number;
  readonly bandwidth?: number;
}

export interface HmatCache {
  readonly 'node-id': number;
  readonly size: number;
  readonly level: number;
  readonly associativity: Associativity;
  readonly policy: HmatCachePolicy;
  readonly line: number;
}

export type Connected = 'keep' | 'fail' | 'disconnect';

export interface SetPasswordVnc {
  readonly display?: string;
}

export type TraceEventGetStateState = 'unavailable' | 'disabled' | 'enabled';

export type Actions =
  | ({ readonly type: 'abort' } & Abort)
  | ({ readonly type: 'block-dirty-bitmap-add' } & BlockDirtyBitmapAdd)
  | ({
      readonly type:
        | 'block-dirty-bitmap-remove'
        | 'block-dirty-bitmap-clear'
        | 'block-dirty-bitmap-enable'
        | 'block-dirty-bitmap-disable';
    } & ActionsBlockDirtyBitmapRemove)
  | ({ readonly type: 'block-dirty-bitmap-merge' } & BlockDirtyBitmapMerge)
  | ({ readonly type: 'blockdev-backup' } & BlockdevBackup)
  | ({ readonly type: 'blockdev-snapshot' } & BlockdevSnapshot)
  | ({ readonly type: 'blockdev-snapshot-internal-sync' } & BlockdevSnapshotInternalSync)
  | ({ readonly type: 'blockdev-snapshot-sync' } & BlockdevSnapshotSync)
  | ({ readonly type: 'drive-backup' } & DriveBackup);

export interface TransactionProperties {
  readonly 'completion-mode'?: CompletionMode;
}

export type XBlockdevAmendOptions =
  | ({ readonly driver: 'luks' } & XBlockdevAmendOptionsLuks)
  | ({ readonly driver: 'qcow2' } & XBlockdevAmendOptionsQcow2)
  | {
      readonly driver:
        | 'blkdebug'
        | 'blklogwrites'
        | 'blkreplay'
        | 'blkverify'
        | 'bochs'
        | 'cloop'
        | 'compress'
        | 'copy-before-write'
        | 'copy-on-read'
        | 'dmg'
        | 'file'
        | 'snapshot-access'
        | 'ftp'
        | 'ftps'
        | 'host_cdrom'
        | 'host_device'
        | 'http'
        | 'https'
        | 'io_uring'
        | 'iscsi'
        | 'nbd'
        | 'nfs'
        | 'null-aio'
        | 'null-co'
        | 'nvme'
        | 'nvme-io_uring'
        | 'parallels'
        | 'preallocate'
        | 'qcow'
        | 'qed'
        | 'quorum'
        | 'raw'
        | 'rbd'
        | 'replication'
        | 'ssh'
        | 'throttle'
        | 'vdi'
        | 'vhdx'
        | 'virtio-blk-vfio-pci'
        | 'virtio-blk-vhost-user'
        | 'virtio-blk-vhost-vdpa'
        | 'vmdk'
        | 'vpc'
        | 'vvfat';
    };

export interface Nodes {
  readonly id: number;
  readonly type: NodesType;
  readonly name: string;
}

export interface Edges {
  readonly parent: number;
  readonly child: number;
  readonly name: string;
  readonly perm: readonly BlkdebugTakeChildPerms[];
  readonly 'shared-perm': readonly BlkdebugTakeChildPerms[];
}

export interface Descs {
  readonly addr: number;
  readonly len: number;
  readonly flags: readonly string[];
}

export interface Avail {
  readonly flags: number;
  readonly idx: number;
  readonly ring: number;
}

export interface Used {
  readonly flags: number;
  readonly idx: number;
}

export interface XQueryVirtioStatusGuestFeatures {
  readonly transports: readonly string[];
  readonly 'dev-features'?: readonly string[];
  readonly 'unknown-dev-features'?: number;
  readonly 'unknown-dev-features2'?: number;
}

export interface XQueryVirtioStatusStatus {
  readonly statuses: readonly string[];
  readonly 'unknown-statuses'?: number;
}

export interface VhostDev {
  readonly 'n-mem-sections': number;
  readonly 'n-tmp-sections': number;
  readonly nvqs: number;
  readonly 'vq-index': number;
  readonly features: XQueryVirtioStatusGuestFeatures;
  readonly 'acked-features': XQueryVirtioStatusGuestFeatures;
  readonly 'protocol-features': ProtocolFeatures;
  readonly 'max-queues': number;
  readonly 'backend-cap': number;
  readonly 'log-enabled': boolean;
  readonly 'log-size': number;
}

export type XenEventListType = 'closed' | 'unbound' | 'interdomain' | 'pirq' | 'virq' | 'ipi';

export type Operation = 'read' | 'write';

export type BlockIoErrorAction = 'ignore' | 'report' | 'stop';

export type GuestCrashloadedAction = 'pause' | 'poweroff' | 'run';

export type GuestCrashloadedInfo =
  | ({ readonly type: 'hyper-v' } & HyperV)
  | ({ readonly type: 's390' } & S390)
  | ({ readonly type: 'tdx' } & Tdx)
  | ({ readonly type: 'sev' } & GuestCrashloadedInfoSev);

export type Recipient = 'hypervisor' | 'guest';

export type MemoryFailureAction = 'ignore' | 'inject' | 'fatal' | 'reset';

export interface MemoryFailureFlags {
  readonly 'action-required': boolean;
  readonly recursive: boolean;
}

export type QuorumReportBadType = 'read' | 'write' | 'flush';

export type ResetReason =
  | 'none'
  | 'host-error'
  | 'host-qmp-quit'
  | 'host-qmp-system-reset'
  | 'host-signal'
  | 'host-ui'
  | 'guest-shutdown'
  | 'guest-reset'
  | 'guest-panic'
  | 'subsystem-reset'
  | 'snapshot-load';

export interface SpiceConnectedServer {
  readonly host: string;
  readonly port: string;
  readonly family: Family;
}

export interface SpiceInitializedServer {
  readonly host: string;
  readonly port: string;
  readonly family: Family;
  readonly auth?: string;
}

export type DeviceState =
  | 'stop'
  | 'running'
  | 'stop-copy'
  | 'resuming'
  | 'running-p2p'
  | 'pre-copy'
  | 'pre-copy-p2p'
  | 'pre-copy-p2p-prepare';

export interface VncConnectedServer {
  readonly host: string;
  readonly service: string;
  readonly family: Family;
  readonly websocket: boolean;
  readonly auth?: string;
}

export interface VncConnectedClient {
  readonly host: string;
  readonly service: string;
  readonly family: Family;
  readonly websocket: boolean;
}

export type AllowOther = 'off' | 'on' | 'auto';

export type BlkdebugImage = BlockdevAddArguments | string;

export interface InjectError {
  readonly event: InjectErrorEvent;
  readonly state?: number;
  readonly iotype?: Iotype;
  readonly errno?: number;
  readonly 'delay-ns'?: number;
  readonly sector?: number;
  readonly once?: boolean;
  readonly immediately?: boolean;
}

export interface SetState {
  readonly event: InjectErrorEvent;
  readonly state?: number;
  readonly new_state: number;
}

export type BlkdebugTakeChildPerms = 'consistent-read' | 'write' | 'write-unchanged' | 'resize';

export type BlockdevAddFileLocking = 'auto' | 'on' | 'off';

export type Aio = 'threads' | 'native' | 'io_uring';

export type IscsiTransport = 'tcp' | 'iser';

export type HeaderDigest = 'crc32c' | 'none' | 'crc32c-none' | 'none-crc32c';

export interface BlockdevAddNfsServer {
  readonly type: BlockdevAddNfsServerType;
  readonly host: string;
}

export type BlockdevAddQcow2Backing = BlockdevAddArguments | string | null;

export type OverlapCheck = OverlapCheckObject | Template;

export type BlockdevAddQcow2Encrypt =
  | ({ readonly format: 'aes' } & BlockdevAddQcow2EncryptAes)
  | ({ readonly format: 'luks' } & BlockdevAddQcow2EncryptLuks);

export type BlockdevAddQcowEncrypt = { readonly format: 'aes' } & BlockdevAddQcow2EncryptAes;

export type ReadPattern = 'quorum' | 'fifo';

export type BlockdevAddRbdEncrypt = { readonly parent?: BlockdevAddRbdEncrypt } & (
  | ({ readonly format: 'luks' } & BlockdevAddRbdEncryptLuks)
  | ({ readonly format: 'luks2' } & BlockdevAddRbdEncryptLuks2)
  | ({ readonly format: 'luks-any' } & LuksAny)
);

export type AuthClientRequired = 'cephx' | 'none';

export interface BlockdevAddRbdServer {
  readonly host: string;
  readonly port: string;
}

export type ReplicationMode = 'primary' | 'secondary';

export interface BlockdevAddSshServer {
  readonly host: string;
  readonly port: string;
  readonly numeric?: boolean;
  readonly to?: number;
  readonly ipv4?: boolean;
  readonly ipv6?: boolean;
  readonly 'keep-alive'?: boolean;
  readonly 'keep-alive-count'?: number;
  readonly 'keep-alive-idle'?: number;
  readonly 'keep-alive-interval'?: number;
  readonly mptcp?: boolean;
}

export type HostKeyCheck =
  ({ readonly mode: 'hash' } & Hash) | { readonly mode: 'none' | 'known_hosts' };

export interface BlockdevCreateOptionsFile {
  readonly filename: string;
  readonly size: number;
  readonly preallocation?: Preallocation;
  readonly nocow?: boolean;
  readonly 'extent-size-hint'?: number;
}

export interface BlockdevCreateOptionsLuks {
  readonly 'key-secret'?: string;
  readonly 'cipher-alg'?: CipherAlg;
  readonly 'cipher-mode'?: CipherMode;
  readonly 'ivgen-alg'?: IvgenAlg;
  readonly 'ivgen-hash-alg'?: BlockdevCreateOptionsLuksIvgenHashAlg;
  readonly 'hash-alg'?: BlockdevCreateOptionsLuksIvgenHashAlg;
  readonly 'iter-time'?: number;
  readonly file?: BlkdebugImage;
  readonly header?: BlkdebugImage;
  readonly size: number;
  readonly preallocation?: Preallocation;
}

export interface BlockdevCreateOptionsNfs {
  readonly location: BlockdevAddNfs;
  readonly size: number;
}

export interface BlockdevCreateOptionsParallels {
  readonly file: BlkdebugImage;
  readonly size: number;
  readonly 'cluster-size'?: number;
}

export interface BlockdevCreateOptionsQcow {
  readonly file: BlkdebugImage;
  readonly size: number;
  readonly 'backing-file'?: string;
  readonly encrypt?: BlockdevCreateOptionsQcowEncrypt;
}

export interface BlockdevCreateOptionsQcow2 {
  readonly file: BlkdebugImage;
  readonly 'data-file'?: BlkdebugImage;
  readonly 'data-file-raw'?: boolean;
  readonly 'extended-l2'?: boolean;
  readonly size: number;
  readonly version?: Version;
  readonly 'backing-file'?: string;
  readonly 'backing-fmt'?: BlockdevAddDriver;
  readonly encrypt?: BlockdevCreateOptionsQcowEncrypt;
  readonly 'cluster-size'?: number;
  readonly preallocation?: Preallocation;
  readonly 'lazy-refcounts'?: boolean;
  readonly 'refcount-bits'?: number;
  readonly 'compression-type'?: CompressionType;
}

export interface BlockdevCreateOptionsQed {
  readonly file: BlkdebugImage;
  readonly size: number;
  readonly 'backing-file'?: string;
  readonly 'backing-fmt'?: BlockdevAddDriver;
  readonly 'cluster-size'?: number;
  readonly 'table-size'?: number;
}

export interface BlockdevCreateOptionsRbd {
  readonly location: BlockdevAddRbd;
  readonly size: number;
  readonly 'cluster-size'?: number;
  readonly encrypt?: BlockdevCreateOptionsRbdEncrypt;
}

export interface BlockdevCreateOptionsSsh {
  readonly location: BlockdevAddSsh;
  readonly size: number;
}

export interface BlockdevCreateOptionsVdi {
  readonly file: BlkdebugImage;
  readonly size: number;
  readonly preallocation?: Preallocation;
}

export interface BlockdevCreateOptionsVhdx {
  readonly file: BlkdebugImage;
  readonly size: number;
  readonly 'log-size'?: number;
  readonly 'block-size'?: number;
  readonly subformat?: BlockdevCreateOptionsVhdxSubformat;
  readonly 'block-state-zero'?: boolean;
}

export interface BlockdevCreateOptionsVmdk {
  readonly file: BlkdebugImage;
  readonly size: number;
  readonly extents?: readonly BlkdebugImage[];
  readonly subformat?: BlockdevCreateOptionsVmdkSubformat;
  readonly 'backing-file'?: string;
  readonly 'adapter-type'?: AdapterType;
  readonly hwversion?: string;
  readonly toolsversion?: string;
  readonly 'zeroed-grain'?: boolean;
}

export interface BlockdevCreateOptionsVpc {
  readonly file: BlkdebugImage;
  readonly size: number;
  readonly subformat?: BlockdevCreateOptionsVpcSubformat;
  readonly 'force-size'?: boolean;
}

/** Deprecated: memory. */
export type BackendType =
  | 'file'
  | 'serial'
  | 'parallel'
  | 'pipe'
  | 'socket'
  | 'udp'
  | 'pty'
  | 'null'
  | 'mux'
  | 'hub'
  | 'msmouse'
  | 'wctablet'
  | 'braille'
  | 'testdev'
  | 'stdio'
  | 'spicevmc'
  | 'spiceport'
  | 'qemu-vdagent'
  | 'dbus'
  | 'vc'
  | 'ringbuf'
  | 'memory';

export interface BackendFile {
  readonly data: BackendFileData;
}

export interface BackendSerial {
  readonly data: BackendSerialData;
}

export interface BackendSocket {
  readonly data: BackendSocketData;
}

export interface Udp {
  readonly data: UdpData;
}

export interface Pty {
  readonly data: PtyData;
}

export interface BackendNull {
  readonly data: BackendNullData;
}

export interface Mux {
  readonly data: MuxData;
}

export interface Hub {
  readonly data: HubData;
}

export interface Stdio {
  readonly data: StdioData;
}

export interface Spicevmc {
  readonly data: SpicevmcData;
}

export interface Spiceport {
  readonly data: SpiceportData;
}

export interface QemuVdagent {
  readonly data: QemuVdagentData;
}

export interface BackendDbus {
  readonly data: BackendDbusData;
}

export interface Vc {
  readonly data: VcData;
}

export interface BackendRingbuf {
  readonly data: BackendRingbufData;
}

export type ErrorsType =
  | 'cache-data-parity'
  | 'cache-address-parity'
  | 'cache-be-parity'
  | 'cache-data-ecc'
  | 'mem-data-parity'
  | 'mem-address-parity'
  | 'mem-be-parity'
  | 'mem-data-ecc'
  | 'reinit-threshold'
  | 'rsvd-encoding'
  | 'poison-received'
  | 'receiver-overflow'
  | 'internal'
  | 'cxl-ide-tx'
  | 'cxl-ide-rx';

export type Events2Type = 'key' | 'btn' | 'rel' | 'abs' | 'mtt';

export interface Events2Key {
  readonly data: Events2KeyData;
}

export interface Btn {
  readonly data: BtnData;
}

export interface Events2Rel {
  readonly data: Events2RelData;
}

export interface Mtt {
  readonly data: MttData;
}

export type ChannelType = 'main' | 'cpr';

export type MigrateChannelsAddr =
  | ({ readonly transport: 'socket' } & QueryMigrateSocketAddress)
  | ({ readonly transport: 'exec' } & Exec)
  | ({ readonly transport: 'rdma' } & BlockdevAddSshServer)
  | ({ readonly transport: 'file' } & MigrateChannelsAddrFile);

export interface BlockBitmapMappingBitmaps {
  readonly name: string;
  readonly alias: string;
  readonly transform?: Transform;
}

export type NbdServerStartAddrType = 'inet' | 'unix' | 'vsock' | 'fd';

export interface NbdServerStartAddrInet {
  readonly data: BlockdevAddSshServer;
}

export interface NbdServerStartAddrUnix {
  readonly data: QueryMigrateSocketAddressUnix;
}

export interface NbdServerStartAddrVsock {
  readonly data: QueryMigrateSocketAddressVsock;
}

export interface NbdServerStartAddrFd {
  readonly data: QueryMigrateSocketAddressFd;
}

export interface Search {
  readonly str: string;
}

export interface PasstTcpPorts {
  readonly str: string;
}

export interface Param {
  readonly str: string;
}

export interface Dnssearch {
  readonly str: string;
}

export interface Hostfwd {
  readonly str: string;
}

export interface Guestfwd {
  readonly str: string;
}

export type AuthzListPolicy = 'deny' | 'allow';

export interface Rules {
  readonly match: string;
  readonly policy: AuthzListPolicy;
  readonly format?: RulesFormat;
}

export type Queue = 'all' | 'rx' | 'tx';

export type Insert = 'before' | 'behind';

export type GrabToggle =
  'ctrl-ctrl' | 'alt-alt' | 'shift-shift' | 'meta-meta' | 'scrolllock' | 'ctrl-scrolllock';

export type CloseAction = 'none' | 'delete';

export type SecretFormat = 'raw' | 'base64';

export interface ThrottleGroupLimits {
  readonly 'iops-total'?: number;
  readonly 'iops-total-max'?: number;
  readonly 'iops-total-max-length'?: number;
  readonly 'iops-read'?: number;
  readonly 'iops-read-max'?: number;
  readonly 'iops-read-max-length'?: number;
  readonly 'iops-write'?: number;
  readonly 'iops-write-max'?: number;
  readonly 'iops-write-max-length'?: number;
  readonly 'bps-total'?: number;
  readonly 'bps-total-max'?: number;
  readonly 'bps-total-max-length'?: number;
  readonly 'bps-read'?: number;
  readonly 'bps-read-max'?: number;
  readonly 'bps-read-max-length'?: number;
  readonly 'bps-write'?: number;
  readonly 'bps-write-max'?: number;
  readonly 'bps-write-max-length'?: number;
  readonly 'iops-size'?: number;
}

export type Endpoint = 'client' | 'server';

export interface QueryAudiodevsNoneIn {
  readonly 'mixing-engine'?: boolean;
  readonly 'fixed-settings'?: boolean;
  readonly frequency?: number;
  readonly channels?: number;
  readonly voices?: number;
  readonly format?: QueryAudiodevsNoneInFormat;
  readonly 'buffer-length'?: number;
}

export interface AlsaIn {
  readonly 'mixing-engine'?: boolean;
  readonly 'fixed-settings'?: boolean;
  readonly frequency?: number;
  readonly channels?: number;
  readonly voices?: number;
  readonly format?: QueryAudiodevsNoneInFormat;
  readonly 'buffer-length'?: number;
  readonly dev?: string;
  readonly 'period-length'?: number;
  readonly 'try-poll'?: boolean;
}

export interface JackIn {
  readonly 'mixing-engine'?: boolean;
  readonly 'fixed-settings'?: boolean;
  readonly frequency?: number;
  readonly channels?: number;
  readonly voices?: number;
  readonly format?: QueryAudiodevsNoneInFormat;
  readonly 'buffer-length'?: number;
  readonly 'server-name'?: string;
  readonly 'client-name'?: string;
  readonly 'connect-ports'?: string;
  readonly 'start-server'?: boolean;
  readonly 'exact-name'?: boolean;
}

export interface OssIn {
  readonly 'mixing-engine'?: boolean;
  readonly 'fixed-settings'?: boolean;
  readonly frequency?: number;
  readonly channels?: number;
  readonly voices?: number;
  readonly format?: QueryAudiodevsNoneInFormat;
  readonly 'buffer-length'?: number;
  readonly dev?: string;
  readonly 'buffer-count'?: number;
  readonly 'try-poll'?: boolean;
}

export interface PaIn {
  readonly 'mixing-engine'?: boolean;
  readonly 'fixed-settings'?: boolean;
  readonly frequency?: number;
  readonly channels?: number;
  readonly voices?: number;
  readonly format?: QueryAudiodevsNoneInFormat;
  readonly 'buffer-length'?: number;
  readonly name?: string;
  readonly 'stream-name'?: string;
  readonly latency?: number;
}

export interface PipewireIn {
  readonly 'mixing-engine'?: boolean;
  readonly 'fixed-settings'?: boolean;
  readonly frequency?: number;
  readonly channels?: number;
  readonly voices?: number;
  readonly format?: QueryAudiodevsNoneInFormat;
  readonly 'buffer-length'?: number;
  readonly name?: string;
  readonly 'stream-name'?: string;
  readonly latency?: number;
}

export interface QueryAudiodevsSdlIn {
  readonly 'mixing-engine'?: boolean;
  readonly 'fixed-settings'?: boolean;
  readonly frequency?: number;
  readonly channels?: number;
  readonly voices?: number;
  readonly format?: QueryAudiodevsNoneInFormat;
  readonly 'buffer-length'?: number;
  readonly 'buffer-count'?: number;
}

export interface TimedStats {
  readonly interval_length: number;
  readonly min_rd_latency_ns: number;
  readonly max_rd_latency_ns: number;
  readonly avg_rd_latency_ns: number;
  readonly min_wr_latency_ns: number;
  readonly max_wr_latency_ns: number;
  readonly avg_wr_latency_ns: number;
  readonly min_zone_append_latency_ns: number;
  readonly max_zone_append_latency_ns: number;
  readonly avg_zone_append_latency_ns: number;
  readonly min_flush_latency_ns: number;
  readonly max_flush_latency_ns: number;
  readonly avg_flush_latency_ns: number;
  readonly avg_rd_queue_depth: number;
  readonly avg_wr_queue_depth: number;
  readonly avg_zone_append_queue_depth: number;
}

export interface QueryBlockstatsStatsRdLatencyHistogram {
  readonly boundaries: readonly number[];
  readonly bins: readonly number[];
}

export interface DriverSpecificFile {
  readonly 'discard-nb-ok': number;
  readonly 'discard-nb-failed': number;
  readonly 'discard-bytes-ok': number;
}

export interface DriverSpecificNvme {
  readonly 'completion-errors': number;
  readonly 'aligned-accesses': number;
  readonly 'unaligned-accesses': number;
}

export type ParametersType = 'string' | 'boolean' | 'number' | 'size';

export type CpuState = 'uninitialized' | 'stopped' | 'check-stop' | 'operating' | 'load';

export type QueryCryptodevClientType = 'builtin' | 'vhost-user' | 'lkcf';

export type GrabMod = 'lctrl-lalt' | 'lshift-lctrl-lalt' | 'rctrl';

export interface QueryMemoryDevicesDimmData {
  readonly id?: string;
  readonly addr: number;
  readonly size: number;
  readonly slot: number;
  readonly node: number;
  readonly memdev: string;
  readonly hotplugged: boolean;
  readonly hotpluggable: boolean;
}

export interface VirtioPmemData {
  readonly id?: string;
  readonly memaddr: number;
  readonly size: number;
  readonly memdev: string;
}

export interface VirtioMemData {
  readonly id?: string;
  readonly memaddr: number;
  readonly 'requested-size': number;
  readonly size: number;
  readonly 'max-size': number;
  readonly 'block-size': number;
  readonly node: number;
  readonly memdev: string;
}

export interface SgxEpcData {
  readonly id?: string;
  readonly memaddr: number;
  readonly size: number;
  readonly node: number;
  readonly memdev: string;
}

export interface HvBalloonData {
  readonly id?: string;
  readonly memaddr?: number;
  readonly 'max-size': number;
  readonly memdev?: string;
}

export interface SpMemData {
  readonly id?: string;
  readonly addr: number;
  readonly size: number;
  readonly node: number;
  readonly memdev: string;
}

export interface QueryMigrateSocketAddressUnix {
  readonly path: string;
  readonly abstract?: boolean;
  readonly tight?: boolean;
}

export interface QueryMigrateSocketAddressVsock {
  readonly cid: string;
  readonly port: string;
}

export interface QueryMigrateSocketAddressFd {
  readonly str: string;
}

export interface QueryNamedBlockNodesImageLimits {
  readonly 'request-alignment': number;
  readonly 'max-discard'?: number;
  readonly 'discard-alignment'?: number;
  readonly 'max-write-zeroes'?: number;
  readonly 'write-zeroes-alignment'?: number;
  readonly 'opt-transfer'?: number;
  readonly 'max-transfer'?: number;
  readonly 'max-hw-transfer'?: number;
  readonly 'max-iov': number;
  readonly 'max-hw-iov'?: number;
  readonly 'min-mem-alignment': number;
  readonly 'opt-mem-alignment': number;
}

export type FormatSpecific =
  | ({ readonly type: 'qcow2' } & FormatSpecificQcow2)
  | ({ readonly type: 'vmdk' } & FormatSpecificVmdk)
  | ({ readonly type: 'luks' } & FormatSpecificLuks)
  | ({ readonly type: 'rbd' } & FormatSpecificRbd)
  | ({ readonly type: 'file' } & FormatSpecificFile);

export interface ClassInfo {
  readonly desc?: string;
  readonly class: number;
}

export interface DevicesId {
  readonly device: number;
  readonly vendor: number;
  readonly subsystem?: number;
  readonly 'subsystem-vendor'?: number;
}

export interface PciBridge {
  readonly bus: Bus;
  readonly devices?: readonly Devices[];
}

export interface Regions {
  readonly bar: number;
  readonly type: string;
  readonly address: number;
  readonly size: number;
  readonly prefetch?: boolean;
  readonly mem_type_64?: boolean;
}

export type JsonType =
  'string' | 'number' | 'int' | 'boolean' | 'null' | 'object' | 'array' | 'value';

export interface EnumMembers {
  readonly name: string;
  readonly features?: readonly string[];
}

export interface Object2Members {
  readonly name: string;
  readonly type: string;
  readonly default?: unknown;
  readonly features?: readonly string[];
}

export interface Variants {
  readonly case: string;
  readonly type: string;
}

export interface AlternateMembers {
  readonly type: string;
}

export type Value = number | boolean | readonly number[];

export type QueryStatsSchemasStatsType =
  'cumulative' | 'instant' | 'peak' | 'linear-histogram' | 'log2-histogram';

export type Unit = 'bytes' | 'seconds' | 'cycles' | 'boolean';

export interface Passthrough {
  readonly data: PassthroughData;
}

export interface Emulator {
  readonly data: EmulatorData;
}

export type SendKeyKeysType = 'number' | 'qcode';

export interface Number {
  readonly data: number;
}

export interface Qcode {
  readonly data: QcodeData;
}

export type Hierarchy = 'memory' | 'first-level' | 'second-level' | 'third-level';

export type DataType =
  | 'access-latency'
  | 'read-latency'
  | 'write-latency'
  | 'access-bandwidth'
  | 'read-bandwidth'
  | 'write-bandwidth';

export type Associativity = 'none' | 'direct' | 'complex';

export type HmatCachePolicy = 'none' | 'write-back' | 'write-through';

/** Deprecated: drive-backup. */
export type ActionsType =
  | 'abort'
  | 'block-dirty-bitmap-add'
  | 'block-dirty-bitmap-remove'
  | 'block-dirty-bitmap-clear'
  | 'block-dirty-bitmap-enable'
  | 'block-dirty-bitmap-disable'
  | 'block-dirty-bitmap-merge'
  | 'blockdev-backup'
  | 'blockdev-snapshot'
  | 'blockdev-snapshot-internal-sync'
  | 'blockdev-snapshot-sync'
  | 'drive-backup';

export interface Abort {
  readonly data: Empty;
}

export interface BlockDirtyBitmapAdd {
  readonly data: BlockDirtyBitmapAddArguments;
}

export interface ActionsBlockDirtyBitmapRemove {
  readonly data: BlockDirtyBitmapClearArguments;
}

export interface BlockDirtyBitmapMerge {
  readonly data: BlockDirtyBitmapMergeArguments;
}

export interface BlockdevBackup {
  readonly data: BlockdevBackupArguments;
}

export interface BlockdevSnapshot {
  readonly data: BlockdevSnapshotArguments;
}

export interface BlockdevSnapshotInternalSync {
  readonly data: BlockdevSnapshotInternalSyncArguments;
}

export interface BlockdevSnapshotSync {
  readonly data: BlockdevSnapshotSyncArguments;
}

export interface DriveBackup {
  readonly data: DriveBackupArguments;
}

export type CompletionMode = 'individual' | 'grouped';

export interface XBlockdevAmendOptionsLuks {
  readonly state: XBlockdevAmendOptionsLuksState;
  readonly 'new-secret'?: string;
  readonly 'old-secret'?: string;
  readonly keyslot?: number;
  readonly 'iter-time'?: number;
  readonly secret?: string;
}

export interface XBlockdevAmendOptionsQcow2 {
  readonly encrypt?: XBlockdevAmendOptionsQcow2Encrypt;
}

export type NodesType = 'block-backend' | 'block-job' | 'block-driver';

export interface ProtocolFeatures {
  readonly protocols: readonly string[];
  readonly 'unknown-protocols'?: number;
}

export type GuestCrashloadedInfoType = 'hyper-v' | 's390' | 'tdx' | 'sev';

export interface HyperV {
  readonly arg1: number;
  readonly arg2: number;
  readonly arg3: number;
  readonly arg4: number;
  readonly arg5: number;
}

export interface S390 {
  readonly core: number;
  readonly 'psw-mask': number;
  readonly 'psw-addr': number;
  readonly reason: S390Reason;
}

export interface Tdx {
  readonly 'error-code': number;
  readonly message: string;
  readonly gpa?: number;
}

export interface GuestCrashloadedInfoSev {
  readonly set: number;
  readonly code: number;
}

export type InjectErrorEvent =
  | 'l1_update'
  | 'l1_grow_alloc_table'
  | 'l1_grow_write_table'
  | 'l1_grow_activate_table'
  | 'l2_load'
  | 'l2_update'
  | 'l2_update_compressed'
  | 'l2_alloc_cow_read'
  | 'l2_alloc_write'
  | 'read_aio'
  | 'read_backing_aio'
  | 'read_compressed'
  | 'write_aio'
  | 'write_compressed'
  | 'vmstate_load'
  | 'vmstate_save'
  | 'cow_read'
  | 'cow_write'
  | 'reftable_load'
  | 'reftable_grow'
  | 'reftable_update'
  | 'refblock_load'
  | 'refblock_update'
  | 'refblock_update_part'
  | 'refblock_alloc'
  | 'refblock_alloc_hookup'
  | 'refblock_alloc_write'
  | 'refblock_alloc_write_blocks'
  | 'refblock_alloc_write_table'
  | 'refblock_alloc_switch_table'
  | 'cluster_alloc'
  | 'cluster_alloc_bytes'
  | 'cluster_free'
  | 'flush_to_os'
  | 'flush_to_disk'
  | 'pwritev_rmw_head'
  | 'pwritev_rmw_after_head'
  | 'pwritev_rmw_tail'
  | 'pwritev_rmw_after_tail'
  | 'pwritev'
  | 'pwritev_zero'
  | 'pwritev_done'
  | 'empty_image_prepare'
  | 'l1_shrink_write_table'
  | 'l1_shrink_free_l2_clusters'
  | 'cor_write'
  | 'cluster_alloc_space'
  | 'none';

export type Iotype = 'read' | 'write' | 'write-zeroes' | 'discard' | 'flush' | 'block-status';

export type BlockdevAddNfsServerType = 'inet';

export interface OverlapCheckObject {
  readonly template?: Template;
  readonly 'main-header'?: boolean;
  readonly 'active-l1'?: boolean;
  readonly 'active-l2'?: boolean;
  readonly 'refcount-table'?: boolean;
  readonly 'refcount-block'?: boolean;
  readonly 'snapshot-table'?: boolean;
  readonly 'inactive-l1'?: boolean;
  readonly 'inactive-l2'?: boolean;
  readonly 'bitmap-directory'?: boolean;
}

export type Template = 'none' | 'constant' | 'cached' | 'all';

export type BlockdevAddQcow2EncryptFormat = 'aes' | 'luks';

export interface BlockdevAddQcow2EncryptAes {
  readonly 'key-secret'?: string;
}

export interface BlockdevAddQcow2EncryptLuks {
  readonly 'key-secret'?: string;
}

export type BlockdevAddQcowEncryptFormat = 'aes';

export type BlockdevAddRbdEncryptFormat = 'luks' | 'luks2' | 'luks-any';

export interface BlockdevAddRbdEncryptLuks {
  readonly 'key-secret': string;
}

export interface BlockdevAddRbdEncryptLuks2 {
  readonly 'key-secret': string;
}

export interface LuksAny {
  readonly 'key-secret': string;
}

export type HostKeyCheckMode = 'none' | 'hash' | 'known_hosts';

export interface Hash {
  readonly type: HashType;
  readonly hash: string;
}

export type Preallocation = 'off' | 'metadata' | 'falloc' | 'full';

export type CipherAlg =
  | 'aes-128'
  | 'aes-192'
  | 'aes-256'
  | 'des'
  | '3des'
  | 'cast5-128'
  | 'serpent-128'
  | 'serpent-192'
  | 'serpent-256'
  | 'twofish-128'
  | 'twofish-192'
  | 'twofish-256'
  | 'sm4';

export type CipherMode = 'ecb' | 'cbc' | 'xts' | 'ctr';

export type IvgenAlg = 'plain' | 'plain64' | 'essiv';

export type BlockdevCreateOptionsLuksIvgenHashAlg =
  'md5' | 'sha1' | 'sha224' | 'sha256' | 'sha384' | 'sha512' | 'ripemd160' | 'sm3';

export type BlockdevCreateOptionsQcowEncrypt =
  | ({ readonly format: 'qcow' } & BlockdevAddQcow2EncryptAes)
  | ({ readonly format: 'luks' } & BlockdevCreateOptionsQcowEncryptLuks);

export type Version = 'v2' | 'v3';

export type CompressionType = 'zlib' | 'zstd';

export type BlockdevCreateOptionsRbdEncrypt =
  | ({ readonly format: 'luks' } & BlockdevCreateOptionsRbdEncryptLuks)
  | ({ readonly format: 'luks2' } & BlockdevCreateOptionsRbdEncryptLuks2)
  | { readonly format: 'luks-any' };

export type BlockdevCreateOptionsVhdxSubformat = 'dynamic' | 'fixed';

export type BlockdevCreateOptionsVmdkSubformat =
  | 'monolithicSparse'
  | 'monolithicFlat'
  | 'twoGbMaxExtentSparse'
  | 'twoGbMaxExtentFlat'
  | 'streamOptimized';

export type AdapterType = 'ide' | 'buslogic' | 'lsilogic' | 'legacyESX';

export type BlockdevCreateOptionsVpcSubformat = 'dynamic' | 'fixed';

export interface BackendFileData {
  readonly logfile?: string;
  readonly logappend?: boolean;
  readonly logtimestamp?: boolean;
  readonly in?: string;
  readonly out: string;
  readonly append?: boolean;
}

export interface BackendSerialData {
  readonly logfile?: string;
  readonly logappend?: boolean;
  readonly logtimestamp?: boolean;
  readonly device: string;
}

export interface BackendSocketData {
  readonly logfile?: string;
  readonly logappend?: boolean;
  readonly logtimestamp?: boolean;
  readonly addr: NbdServerStartAddr;
  readonly 'tls-creds'?: string;
  readonly 'tls-authz'?: string;
  readonly server?: boolean;
  readonly wait?: boolean;
  readonly nodelay?: boolean;
  readonly telnet?: boolean;
  readonly tn3270?: boolean;
  readonly websocket?: boolean;
  readonly 'reconnect-ms'?: number;
}

export interface UdpData {
  readonly logfile?: string;
  readonly logappend?: boolean;
  readonly logtimestamp?: boolean;
  readonly remote: NbdServerStartAddr;
  readonly local?: NbdServerStartAddr;
}

export interface PtyData {
  readonly logfile?: string;
  readonly logappend?: boolean;
  readonly logtimestamp?: boolean;
  readonly path?: string;
}

export interface BackendNullData {
  readonly logfile?: string;
  readonly logappend?: boolean;
  readonly logtimestamp?: boolean;
}

export interface MuxData {
  readonly logfile?: string;
  readonly logappend?: boolean;
  readonly logtimestamp?: boolean;
  readonly chardev: string;
}

export interface HubData {
  readonly logfile?: string;
  readonly logappend?: boolean;
  readonly logtimestamp?: boolean;
  readonly chardevs: readonly string[];
}

export interface StdioData {
  readonly logfile?: string;
  readonly logappend?: boolean;
  readonly logtimestamp?: boolean;
  readonly signal?: boolean;
}

export interface SpicevmcData {
  readonly logfile?: string;
  readonly logappend?: boolean;
  readonly logtimestamp?: boolean;
  readonly type: string;
}

export interface SpiceportData {
  readonly logfile?: string;
  readonly logappend?: boolean;
  readonly logtimestamp?: boolean;
  readonly fqdn: string;
}

export interface QemuVdagentData {
  readonly logfile?: string;
  readonly logappend?: boolean;
  readonly logtimestamp?: boolean;
  readonly mouse?: boolean;
  readonly clipboard?: boolean;
}

export interface BackendDbusData {
  readonly logfile?: string;
  readonly logappend?: boolean;
  readonly logtimestamp?: boolean;
  readonly name: string;
  readonly encoding?: Encoding;
}

export interface VcData {
  readonly logfile?: string;
  readonly logappend?: boolean;
  readonly logtimestamp?: boolean;
  readonly width?: number;
  readonly height?: number;
  readonly cols?: number;
  readonly rows?: number;
  readonly encoding?: Encoding;
}

export interface BackendRingbufData {
  readonly logfile?: string;
  readonly logappend?: boolean;
  readonly logtimestamp?: boolean;
  readonly size?: number;
}

export interface Events2KeyData {
  readonly key: SendKeyKeys;
  readonly down: boolean;
}

export interface BtnData {
  readonly button: Button;
  readonly down: boolean;
}

export interface Events2RelData {
  readonly axis: Axis;
  readonly value: number;
}

export interface MttData {
  readonly type: MttType;
  readonly slot: number;
  readonly 'tracking-id': number;
  readonly axis: Axis;
  readonly value: number;
}

export type MigrateChannelsAddrTransport = 'socket' | 'exec' | 'rdma' | 'file';

export interface Exec {
  readonly args: readonly string[];
}

export interface MigrateChannelsAddrFile {
  readonly filename: string;
  readonly offset: number;
}

export interface Transform {
  readonly persistent?: boolean;
}

export type RulesFormat = 'exact' | 'glob';

export type QueryAudiodevsNoneInFormat = 'u8' | 's8' | 'u16' | 's16' | 'u32' | 's32' | 'f32';

export type FormatSpecificType = 'qcow2' | 'vmdk' | 'luks' | 'rbd' | 'file';

export interface FormatSpecificQcow2 {
  readonly data: FormatSpecificQcow2Data;
}

export interface FormatSpecificVmdk {
  readonly data: FormatSpecificVmdkData;
}

export interface FormatSpecificLuks {
  readonly data: FormatSpecificLuksData;
}

export interface FormatSpecificRbd {
  readonly data: FormatSpecificRbdData;
}

export interface FormatSpecificFile {
  readonly data: FormatSpecificFileData;
}

export interface Bus {
  readonly number: number;
  readonly secondary: number;
  readonly subordinate: number;
  readonly io_range: BusIoRange;
  readonly memory_range: BusIoRange;
  readonly prefetchable_range: BusIoRange;
}

export interface PassthroughData {
  readonly path?: string;
  readonly 'cancel-path'?: string;
}

export interface EmulatorData {
  readonly chardev: string;
}

export type QcodeData =
  | 'unmapped'
  | 'shift'
  | 'shift_r'
  | 'alt'
  | 'alt_r'
  | 'ctrl'
  | 'ctrl_r'
  | 'menu'
  | 'esc'
  | '1'
  | '2'
  | '3'
  | '4'
  | '5'
  | '6'
  | '7'
  | '8'
  | '9'
  | '0'
  | 'minus'
  | 'equal'
  | 'backspace'
  | 'tab'
  | 'q'
  | 'w'
  | 'e'
  | 'r'
  | 't'
  | 'y'
  | 'u'
  | 'i'
  | 'o'
  | 'p'
  | 'bracket_left'
  | 'bracket_right'
  | 'ret'
  | 'a'
  | 's'
  | 'd'
  | 'f'
  | 'g'
  | 'h'
  | 'j'
  | 'k'
  | 'l'
  | 'semicolon'
  | 'apostrophe'
  | 'grave_accent'
  | 'backslash'
  | 'z'
  | 'x'
  | 'c'
  | 'v'
  | 'b'
  | 'n'
  | 'm'
  | 'comma'
  | 'dot'
  | 'slash'
  | 'asterisk'
  | 'spc'
  | 'caps_lock'
  | 'f1'
  | 'f2'
  | 'f3'
  | 'f4'
  | 'f5'
  | 'f6'
  | 'f7'
  | 'f8'
  | 'f9'
  | 'f10'
  | 'num_lock'
  | 'scroll_lock'
  | 'kp_divide'
  | 'kp_multiply'
  | 'kp_subtract'
  | 'kp_add'
  | 'kp_enter'
  | 'kp_decimal'
  | 'sysrq'
  | 'kp_0'
  | 'kp_1'
  | 'kp_2'
  | 'kp_3'
  | 'kp_4'
  | 'kp_5'
  | 'kp_6'
  | 'kp_7'
  | 'kp_8'
  | 'kp_9'
  | 'less'
  | 'f11'
  | 'f12'
  | 'print'
  | 'home'
  | 'pgup'
  | 'pgdn'
  | 'end'
  | 'left'
  | 'up'
  | 'down'
  | 'right'
  | 'insert'
  | 'delete'
  | 'stop'
  | 'again'
  | 'props'
  | 'undo'
  | 'front'
  | 'copy'
  | 'open'
  | 'paste'
  | 'find'
  | 'cut'
  | 'lf'
  | 'help'
  | 'meta_l'
  | 'meta_r'
  | 'compose'
  | 'pause'
  | 'ro'
  | 'hiragana'
  | 'henkan'
  | 'yen'
  | 'muhenkan'
  | 'katakanahiragana'
  | 'kp_comma'
  | 'kp_equals'
  | 'power'
  | 'sleep'
  | 'wake'
  | 'audionext'
  | 'audioprev'
  | 'audiostop'
  | 'audioplay'
  | 'audiomute'
  | 'volumeup'
  | 'volumedown'
  | 'mediaselect'
  | 'mail'
  | 'calculator'
  | 'computer'
  | 'ac_home'
  | 'ac_back'
  | 'ac_forward'
  | 'ac_refresh'
  | 'ac_bookmarks'
  | 'lang1'
  | 'lang2'
  | 'f13'
  | 'f14'
  | 'f15'
  | 'f16'
  | 'f17'
  | 'f18'
  | 'f19'
  | 'f20'
  | 'f21'
  | 'f22'
  | 'f23'
  | 'f24';

export type XBlockdevAmendOptionsLuksState = 'active' | 'inactive';

export type XBlockdevAmendOptionsQcow2Encrypt =
  | ({ readonly format: 'luks' } & XBlockdevAmendOptionsQcow2EncryptLuks)
  | { readonly format: 'qcow' };

export type S390Reason = 'unknown' | 'disabled-wait' | 'extint-loop' | 'pgmint-loop' | 'opint-loop';

export type HashType = 'md5' | 'sha1' | 'sha256';

export type BlockdevCreateOptionsQcowEncryptFormat = 'qcow' | 'luks';

export interface BlockdevCreateOptionsQcowEncryptLuks {
  readonly 'key-secret'?: string;
  readonly 'cipher-alg'?: CipherAlg;
  readonly 'cipher-mode'?: CipherMode;
  readonly 'ivgen-alg'?: IvgenAlg;
  readonly 'ivgen-hash-alg'?: BlockdevCreateOptionsLuksIvgenHashAlg;
  readonly 'hash-alg'?: BlockdevCreateOptionsLuksIvgenHashAlg;
  readonly 'iter-time'?: number;
}

export interface BlockdevCreateOptionsRbdEncryptLuks {
  readonly 'key-secret': string;
  readonly 'cipher-alg'?: CipherAlg;
}

export interface BlockdevCreateOptionsRbdEncryptLuks2 {
  readonly 'key-secret': string;
  readonly 'cipher-alg'?: CipherAlg;
}

export type Encoding = 'cp437' | 'utf8';

export type Button =
  | 'left'
  | 'middle'
  | 'right'
  | 'wheel-up'
  | 'wheel-down'
  | 'side'
  | 'extra'
  | 'wheel-left'
  | 'wheel-right'
  | 'touch';

export type Axis = 'x' | 'y';

export type MttType = 'begin' | 'update' | 'end' | 'cancel' | 'data';

export interface FormatSpecificQcow2Data {
  readonly compat: string;
  readonly 'data-file'?: string;
  readonly 'data-file-raw'?: boolean;
  readonly 'extended-l2'?: boolean;
  readonly 'lazy-refcounts'?: boolean;
  readonly corrupt?: boolean;
  readonly 'refcount-bits': number;
  readonly encrypt?: FormatSpecificQcow2Encrypt;
  readonly bitmaps?: readonly FormatSpecificQcow2Bitmaps[];
  readonly 'compression-type': CompressionType;
}

export interface FormatSpecificVmdkData {
  readonly 'create-type': string;
  readonly cid: number;
  readonly 'parent-cid': number;
  readonly extents: readonly FormatSpecificVmdkExtents[];
}

export interface FormatSpecificLuksData {
  readonly 'cipher-alg': CipherAlg;
  readonly 'cipher-mode': CipherMode;
  readonly 'ivgen-alg': IvgenAlg;
  readonly 'ivgen-hash-alg'?: BlockdevCreateOptionsLuksIvgenHashAlg;
  readonly 'hash-alg': BlockdevCreateOptionsLuksIvgenHashAlg;
  readonly 'detached-header': boolean;
  readonly 'payload-offset': number;
  readonly 'master-key-iters': number;
  readonly uuid: string;
  readonly slots: readonly Slots[];
}

export interface FormatSpecificRbdData {
  readonly 'encryption-format'?: BlockdevAddRbdEncryptFormat;
}

export interface FormatSpecificFileData {
  readonly 'extent-size-hint'?: number;
}

export interface BusIoRange {
  readonly base: number;
  readonly limit: number;
}

export interface XBlockdevAmendOptionsQcow2EncryptLuks {
  readonly state: XBlockdevAmendOptionsLuksState;
  readonly 'new-secret'?: string;
  readonly 'old-secret'?: string;
  readonly keyslot?: number;
  readonly 'iter-time'?: number;
  readonly secret?: string;
}

export type FormatSpecificQcow2Encrypt =
  ({ readonly format: 'luks' } & FormatSpecificLuksData) | { readonly format: 'aes' };

export interface FormatSpecificQcow2Bitmaps {
  readonly name: string;
  readonly granularity: number;
  readonly flags: readonly FormatSpecificQcow2BitmapsFlags[];
}

export interface FormatSpecificVmdkExtents {
  readonly filename: string;
  readonly format: string;
  readonly 'virtual-size': number;
  readonly 'cluster-size'?: number;
  readonly compressed?: boolean;
}

export interface Slots {
  readonly active: boolean;
  readonly iters?: number;
  readonly stripes?: number;
  readonly 'key-offset': number;
}

export type FormatSpecificQcow2BitmapsFlags = 'in-use' | 'auto';
