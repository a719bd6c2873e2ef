// Copies what Prometheus and Grafana load into the package, when it is packed.
import { cpSync, rmSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../../..');
const folder = path.resolve(import.meta.dirname, '../monitoring');
rmSync(folder, { recursive: true, force: true });
for (const file of ['alerts.yml', 'dashboard.json']) {
  cpSync(path.join(root, 'monitoring', file), path.join(folder, file));
}
