/**
 * The web page, the metrics and the commands that show a VM, beside a real pair: Debian's Chromium
 * looks at both pages, Debian's Prometheus scrapes both daemons. With GANNET_SCREENSHOTS=FOLDER it
 * leaves pictures there (docs/images).
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventSchema, statusSchema } from '@gannet/contract';
import { findGuest, type LabDaemon, LabPair } from '@gannet/lab';
import { type Browser, chromium, type Page } from 'playwright-core';
import { freePort } from '@gannet/test-support/ports.js';
import { waiting } from '@gannet/test-support/waiting.js';

const run = promisify(execFile);
const ROOT = path.resolve(import.meta.dirname, '..', '..', '..');
const BIN = path.join(ROOT, 'packages', 'gannet', 'dist', 'bin.js');
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const PATIENCE_MS = 60_000;
const PICTURES = process.env['GANNET_SCREENSHOTS'];
const DESK = { width: 1200, height: 900 };
const PHONE = { width: 390, height: 844 };

const { until, untilSo } = waiting({ patienceMs: PATIENCE_MS, pollMs: 50 });

let dir: string;
let pair: LabPair;
let browser: Browser;
/** What the pages complained of: a violation of their policy, an exception. */
const complaints: string[] = [];
/** Rules in monitoring/alerts.yml. */
const ALERTS = 21;
/** What axe has looked at, and its rules that had something to say. */
const looks: string[] = [];
const rulesKept = new Set<string>();
/** What it can't judge by itself, and how often. */
const doubts = new Map<string, number>();
const children: ChildProcess[] = [];

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-web-'));
  if (PICTURES !== undefined) await mkdir(PICTURES, { recursive: true });
  // Debian's; as root it has no sandbox.
  const args = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'];
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args });
  pair = await LabPair.create({
    guest: await findGuest(),
    periodMs: 700,
    fillMb: 8,
    // A browser and Prometheus take the processor from daemons: their silence means nothing here.
    config: () => ({
      http: { listen: '127.0.0.1:0' },
      peer: { heartbeatMs: 100, lowMs: 5000, highMs: 30_000 },
    }),
  });
  await pair.bootPrimary();
  await pair.startSecondary();
  await pair.startPrimaryDaemon();
}, 120_000);

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await browser.close();
  await pair.dispose();
  await rm(dir, { recursive: true, force: true });
});

async function urlOf(daemon: LabDaemon): Promise<string> {
  return (await daemon.client.call('page')).url;
}

async function open(daemon: LabDaemon): Promise<Page> {
  const context = await browser.newContext({ viewport: DESK, colorScheme: 'light' });
  const page = await context.newPage();
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.setDefaultTimeout(PATIENCE_MS);
  await page.goto(await urlOf(daemon));
  return page;
}

const headline = (page: Page) => page.locator('#verdict');
const focused = (page: Page): Promise<string> =>
  page.evaluate('document.activeElement.innerText.trim()');
const dialog = (page: Page) => page.getByRole('dialog');

/** Asks for an action and says yes. @returns what the dialog says then */
async function act(page: Page, label: string): Promise<string> {
  await page.getByRole('button', { name: label }).click();
  await dialog(page).getByRole('button', { name: label }).click();
  const outcome = dialog(page).locator('.outcome');
  await outcome.waitFor();
  return outcome.innerText();
}

/** Serious or not: no violation is left. */
async function expectAccessible(page: Page, what: string): Promise<void> {
  await page.evaluate(await readFile(AXE, 'utf8'));
  // Run in the page: a string, since tests are compiled without its types.
  const { kept, unsure, found } = await page.evaluate<
    Record<'kept' | 'unsure' | 'found', string[]>
  >(
    `axe.run().then(({ passes, incomplete, violations }) => ({
      kept: passes.map(({ id }) => id),
      unsure: incomplete.flatMap(({ id, nodes }) =>
        nodes.map(({ any: [why] }) =>
          id + ', ' + (why?.data?.messageKey ?? 'for a person to judge'),
        ),
      ),
      found: violations.map(({ id, nodes }) => ({
        id,
        nodes: nodes.map(({ target, failureSummary }) => target + ': ' + failureSummary),
      })),
    }))`,
  );
  expect({ what, found }).toEqual({ what, found: [] });
  looks.push(what);
  for (const rule of kept) rulesKept.add(rule);
  for (const why of unsure) doubts.set(why, (doubts.get(why) ?? 0) + 1);
}

/** In light, dark, and on a phone: no violation, nothing wider than the screen. */
async function inspect(page: Page, name: string): Promise<void> {
  const screens = [
    ['light', DESK],
    ['dark', DESK],
    ['phone', PHONE],
  ] as const;
  for (const [look, viewport] of screens) {
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme: look === 'dark' ? 'dark' : 'light' });
    const [wide, screen] = await page.evaluate<[number, number]>(
      '[document.documentElement.scrollWidth, document.documentElement.clientWidth]',
    );
    expect({ name, look, wide }).toEqual({ name, look, wide: screen });
    if (PICTURES !== undefined) {
      await page.screenshot({
        path: path.join(PICTURES, `page-${name}-${look}.png`),
        fullPage: true,
      });
    }
    await expectAccessible(page, `${name}, ${look}`);
  }
  await page.setViewportSize(DESK);
  await page.emulateMedia({ colorScheme: 'light' });
}

function start(program: string, ...args: string[]): { child: ChildProcess; text: () => string } {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', program, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (more: string) => (text += more));
  }
  return { child, text: () => text };
}

async function interrupted(child: ChildProcess): Promise<unknown> {
  const closed = once(child, 'close');
  child.kill('SIGINT');
  return ((await closed) as unknown[])[0];
}

interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

describe('a pair, as it is seen from outside', () => {
  let primary: Page;
  let secondary: Page;
  let prometheus: string;

  const query = async (expression: string): Promise<readonly Sample[]> => {
    const at = `${prometheus}/api/v1/query?query=${encodeURIComponent(expression)}`;
    const answer = (await (await fetch(at)).json()) as {
      status: string;
      data?: { result: Sample[] };
    };
    if (answer.status !== 'success') throw new Error(`${expression}: ${JSON.stringify(answer)}`);
    return answer.data?.result ?? [];
  };
  const valueOf = async (expression: string): Promise<number | undefined> => {
    const [sample] = await query(expression);
    return sample && Number(sample.value[1]);
  };

  it('shows what is not protected, and offers what helps', async () => {
    primary = await open(pair.primaryDaemon);
    await untilSo('the headline', async () =>
      (await headline(primary).innerText()).includes('Not protected'),
    );
    // The token is nowhere to be seen.
    expect(new URL(primary.url()).hash).toBe('');
    // Only what can be done now is offered; the command refuses the rest.
    expect(await primary.locator('.actions button').allInnerTexts()).toEqual(['Protect …']);
    await expect(pair.primaryDaemon.client.call('detach', {})).rejects.toMatchObject({
      message: 'lab is unprotected: nothing to detach',
    });
    await inspect(primary, 'unprotected');
  });

  it('asks for the token where there is none, and says that one is wrong', async () => {
    const context = await browser.newContext({ viewport: DESK });
    const page = await context.newPage();
    await page.goto((await urlOf(pair.primaryDaemon)).replace(/#.*/, ''));
    await page.getByLabel('Access token').fill('x'.repeat(43));
    await page.keyboard.press('Enter');
    await page.getByRole('alert').waitFor();
    await expectAccessible(page, 'token');
    const token = new URL(await urlOf(pair.primaryDaemon)).hash.replace('#token=', '');
    await page.getByLabel('Access token').fill(token);
    await page.getByRole('button', { name: 'Show the VM' }).click();
    await headline(page).waitFor();
    await page.reload();
    await headline(page).waitFor();
    await context.close();
  });

  it('shows the protection of both sides, live', async () => {
    secondary = await open(pair.secondaryDaemon);
    // As `gannet protect`, from the page.
    expect(await act(primary, 'Protect')).toContain('Protect: done.');
    await dialog(primary).getByRole('button', { name: 'Close' }).click();
    await pair.waitForCommits(4);
    // Both sides have the id of the command.
    const operation = String(pair.primaryDaemon.eventsOf('command').at(-1)?.operation);
    expect(pair.secondaryDaemon.eventsOf('state')).toMatchObject([{ operation }]);
    for (const page of [primary, secondary]) {
      await untilSo('protected', async () =>
        (await headline(page).innerText()).includes('Protected'),
      );
      await untilSo('bars', async () => (await page.locator('.bar').count()) >= 4);
      const hosts = page.getByRole('article');
      expect(await hosts.count()).toBe(2);
      for (const side of ['primary', 'secondary']) {
        const pills = page.getByRole('article', { name: side }).locator('.pill');
        await pills.filter({ hasText: /^✓ protected$/ }).waitFor();
      }
      await page.locator('.between .pill').filter({ hasText: 'connected' }).waitFor();
      await page.getByText(/soft 512 MiB/).waitFor();
    }
    const seen = Number(await primary.locator('tbody th').first().innerText());
    await untilSo('the next checkpoint', async () => {
      return Number(await primary.locator('tbody th').first().innerText()) > seen;
    });
  });

  it('makes a checkpoint on demand, with nothing but the keyboard', async () => {
    for (let turn = 0; turn < 20; turn++) {
      await primary.keyboard.press('Tab');
      if ((await focused(primary)).startsWith('Checkpoint now')) break;
    }
    await primary.keyboard.press('Enter');
    await dialog(primary).getByText('Make a checkpoint now?').waitFor();
    // What is asked first is not done by the same key: Cancel has the focus.
    expect(await focused(primary)).toBe('Cancel');
    await primary.keyboard.press('Shift+Tab');
    await primary.keyboard.press('Enter');
    await dialog(primary).getByText('Checkpoint now: done.').waitFor();
    await primary.keyboard.press('Escape');
    await dialog(primary).waitFor({ state: 'detached' });
    for (const page of [primary, secondary]) {
      await page.locator('tbody').getByText('demand').first().waitFor();
    }
  });

  it('does not let a secondary take over from a primary that lives', async () => {
    expect(await act(secondary, 'Fail over')).toMatch(
      /Refused: nothing proves that the primary of lab is dead/,
    );
    await inspect(secondary, 'refused');
    await dialog(secondary).getByRole('button', { name: 'Close' }).click();
    await inspect(primary, 'primary');
    await inspect(secondary, 'secondary');
  });

  it('tells the same at a terminal, and to programs', async () => {
    const { secondaryDaemon, primaryDaemon } = pair;
    for (const { configPath } of [secondaryDaemon, primaryDaemon]) {
      const { stdout } = await run(process.execPath, [BIN, 'status', '--json', '-c', configPath]);
      const status: unknown = JSON.parse(stdout);
      // The schema names every field: what it does not know it drops.
      expect(statusSchema.parse(status)).toEqual(status);
      const { stdout: words } = await run(process.execPath, [BIN, 'status', '-c', configPath]);
      expect(words).toMatch(/\[ok\] Protected/);
      expect(words).toMatch(/epoch +\d+: .* pages committed/);
    }
    const events = start(
      process.execPath,
      BIN,
      'events',
      '--follow',
      '--json',
      '-c',
      primaryDaemon.configPath,
    );
    const lines = (): unknown[] =>
      events
        .text()
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as unknown);
    await untilSo('events', () => lines().length > 5);
    const before = lines().length;
    await untilSo('another event', () => lines().length > before);
    for (const line of lines()) expect(eventSchema.parse(line)).toEqual(line);
    expect(await interrupted(events.child)).toBe(0);

    const watch = start(process.execPath, BIN, 'watch', '-c', primaryDaemon.configPath);
    await untilSo('lines', () => /== primary protected: Protected, epoch \d+/.test(watch.text()));
    await untilSo('checkpoints', () =>
      /checkpoint \d+ at the end of its period: guest paused/.test(watch.text()),
    );
    expect(watch.text()).not.toContain('\u001b');
    expect(await interrupted(watch.child)).toBe(0);
  });

  it('lets Prometheus scrape both daemons; every panel and alert has data', async () => {
    const targets = await Promise.all(
      [pair.primaryDaemon, pair.secondaryDaemon].map(
        async (daemon) => new URL(await urlOf(daemon)),
      ),
    );
    const token = path.join(dir, 'token');
    await writeFile(token, targets[0]?.hash.replace('#token=', '') ?? '');
    const config = {
      global: { scrape_interval: '500ms', evaluation_interval: '500ms' },
      rule_files: [path.join(ROOT, 'monitoring', 'alerts.yml')],
      scrape_configs: [
        {
          ...{ job_name: 'gannet', authorization: { credentials_file: token } },
          static_configs: [{ targets: targets.map(({ host }) => host) }],
        },
      ],
    };
    await writeFile(path.join(dir, 'prometheus.yml'), JSON.stringify(config));
    const port = await freePort();
    prometheus = `http://127.0.0.1:${port}`;
    start(
      'prometheus',
      ...[`--config.file=${dir}/prometheus.yml`, `--storage.tsdb.path=${dir}/tsdb`],
      `--web.listen-address=127.0.0.1:${port}`,
    );
    await until(
      async () => (await query('gannet_qemu_up == 1').catch(() => [])).length,
      (found) => found === 2,
    );
    const { data } = (await (await fetch(`${prometheus}/api/v1/rules`)).json()) as {
      data: { groups: { rules: { name: string; health: string }[] }[] };
    };
    await untilSo(
      'two rounds',
      async () => ((await valueOf('count_over_time(up[10s])')) ?? 0) >= 4,
    );
    expect(data.groups.flatMap(({ rules }) => rules).length).toBe(ALERTS);
    const text = await readFile(path.join(ROOT, 'monitoring', 'dashboard.json'), 'utf8');
    const asked = [...text.matchAll(/"expr": "((?:[^"\\]|\\.)*)"/g)].map(([, found = '']) => {
      const expression = JSON.parse(`"${found}"`) as string;
      return expression.replaceAll('$vm', 'lab').replaceAll('$__rate_interval', '10s');
    });
    expect(asked.length).toBeGreaterThan(15);
    const absent =
      /memory_left|commit_kept|seed_remaining|certificate_expiry|_waiting|replica_wrong|verify/;
    for (const expression of asked.filter((each) => !absent.test(each))) {
      expect({ expression, isEmpty: (await query(expression)).length === 0 }).toEqual({
        expression,
        isEmpty: false,
      });
    }
    expect(pair.primaryDaemon.eventsOf('secondary-lost')).toEqual([]);
    expect(await valueOf('gannet_may_failover')).toBe(1);
    expect(await valueOf('gannet_checkpoints_total{cause="demand"}')).toBe(1);
    expect(await valueOf('gannet_buffer_limit_bytes{limit="hard"}')).toBe(2 ** 30);
    expect(await valueOf('gannet_nbd_requests_total')).toBeGreaterThan(100);
    const epochs = await valueOf('gannet_epoch{role="secondary"}');
    await untilSo(
      'a later epoch',
      async () => ((await valueOf('gannet_epoch{role="secondary"}')) ?? 0) > (epochs ?? 0),
    );
  });

  it('shows the end of the primary, and takes over at a click', async () => {
    await pair.primary.kill('SIGKILL');
    await untilSo('the bad news', async () =>
      (await headline(primary).innerText()).includes('has ended'),
    );
    await untilSo('the lost link', async () =>
      (await headline(secondary).innerText()).includes('The VM is DOWN'),
    );
    await inspect(primary, 'primary-ended');
    await inspect(secondary, 'link-lost');
    expect(await act(secondary, 'Fail over')).toContain('Fail over: done.');
    await dialog(secondary).getByRole('button', { name: 'Close' }).click();
    await untilSo('taken over', async () =>
      (await headline(secondary).innerText()).includes('has taken over'),
    );
    await secondary
      .locator('.log')
      .getByText(/failover done: VM running after/)
      .waitFor();
    expect(await secondary.locator('.actions button').allInnerTexts()).toEqual(['Reprotect …']);
    await inspect(secondary, 'failed-over');
    await untilSo(
      'the metrics',
      async () => (await valueOf('gannet_failover_total{reason="proof"}')) === 1,
    );
    await untilSo('the alert', async () => {
      const names = (await query('ALERTS')).map(({ metric }) => metric['alertname']);
      return names.includes('GannetFailedOver');
    });
  });

  it('says when it has no answer from its daemon', async () => {
    await pair.primaryDaemon.kill();
    await primary.getByText(/The daemon does not answer: state of/).waitFor();
    await untilSo('no target', async () => (await valueOf('sum(up)')) === 1);
    const ours = complaints.filter((words) => !/WebSocket connection to .* failed/.test(words));
    expect(ours).toEqual([]);
    expect(looks.length).toBe(22);
    const unjudged = [...doubts].map(([why, times]) => `${why} (${times})`).join('; ');
    process.stdout.write(
      `Accessibility: ${looks.length} looks at the page, ` +
        `${rulesKept.size} of axe's rules applied, 0 violations; ` +
        `not to be judged by a program: ${unjudged || 'nothing'}\n`,
    );
  });
});

it('has alert rules that promtool takes, and whose tests pass', async () => {
  const rules = path.join(ROOT, 'monitoring');
  const check = await run('promtool', ['check', 'rules', path.join(rules, 'alerts.yml')]);
  expect(check.stdout).toContain(`${ALERTS} rules found`);
  const test = await run('promtool', ['test', 'rules', path.join(rules, 'alerts.test.yml')]);
  expect(test.stdout).toContain('SUCCESS');
});
