/**
 * Wraps a listener. What it throws becomes an uncaught exception instead of a failure of the step
 * that reports: a commit stays a commit, the gate opens, and no batch is written twice.
 */
export function isolateListener<Event>(
  listener: ((event: Event) => void) | undefined,
): (event: Event) => void {
  return (event) => {
    try {
      listener?.(event);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  };
}
