/**
 * Settles as `work` does, but not later than `ms`: a file system may hang. What `work` does after
 * that is nobody's concern.
 *
 * @throws Error that says what took too long
 */
export async function within(work: Promise<unknown>, ms: number, what: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} takes longer than ${ms} ms`)), ms);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    work.catch(() => undefined);
  }
}
