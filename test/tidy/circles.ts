import { allImports, type Import } from './imports.js';
import type { Fault, Tree } from './tree.js';

/** No file imports itself by way of others; imports of types count. */
export function circles(tree: Tree): Fault[] {
  const imports = new Map<string, Import[]>();
  for (const one of allImports(tree)) {
    imports.set(one.file, [...(imports.get(one.file) ?? []), one]);
  }
  const faults: Fault[] = [];
  const done = new Set<string>();
  const visit = (file: string, way: readonly string[]): void => {
    if (done.has(file)) return;
    for (const { target, line } of imports.get(file) ?? []) {
      if (target === undefined) continue;
      const start = [...way, file].indexOf(target);
      if (start < 0) visit(target, [...way, file]);
      else {
        const circle = [...way.slice(start), file, target].join(' → ');
        const what = `closes a circle of imports (${circle}): move what both need to a third file`;
        faults.push({ file, line, what });
      }
    }
    done.add(file);
  };
  for (const file of imports.keys()) visit(file, []);
  return faults;
}
