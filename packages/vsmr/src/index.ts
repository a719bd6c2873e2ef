/** Checkpoints of two VMs that run side by side, over ports. See README.md. */
export { VsmrError, type VsmrErrorCode } from './errors.js';
export { PageSet } from './page-set.js';
export type * from './ports.js';
export type {
  PrimaryEngineInput,
  PrimaryEnginePhase,
  SecondaryEngineInput,
  SecondaryEnginePhase,
} from './phases.js';
export { PRIMARY_PHASES, SECONDARY_PHASES } from './phases.js';
export {
  type CheckpointReport,
  type CopyOptions,
  PrimaryEngine,
  type PrimaryEngineOptions,
} from './primary-engine.js';
export {
  SecondaryEngine,
  type SecondaryEngineEvent,
  type SecondaryEngineOptions,
} from './secondary-engine.js';
export { FileRam, type FileRamOptions } from './ram/file-ram.js';
export { FrameLink, type Link } from './wire/frame-link.js';
export type { Frame } from './wire/frames.js';
