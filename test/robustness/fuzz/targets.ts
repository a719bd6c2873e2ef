import { config } from './config-target.js';
import { journalReader, stateFile } from './file-targets.js';
import { nbdServer } from './nbd-targets.js';
import { qmpClient, qmpLines } from './qmp-targets.js';
import type { Target } from './target.js';

export const TARGETS: readonly Target[] = [
  ...[nbdServer, qmpLines, qmpClient],
  ...[journalReader, stateFile, config],
];
