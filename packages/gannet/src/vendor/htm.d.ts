/** What the page uses of htm/preact/standalone.module.js, which the daemon serves at this place. */
export interface VNode {
  readonly type: unknown;
}
export function html(strings: TemplateStringsArray, ...values: readonly unknown[]): VNode;
export function render(node: VNode, parent: Element): void;
export function useEffect(
  effect: () => (() => void) | undefined,
  inputs?: readonly unknown[],
): void;
export function useRef<T>(initial: T): { current: T };
export function useState<T>(initial: T): [T, (value: T | ((before: T) => T)) => void];
