/**
 * The page in Debian's Chromium, on a daemon's web server whose VM has each verdict of the table:
 * light and dark, on a desk and on a phone. GANNET_SCREENSHOTS=FOLDER leaves pictures there.
 */
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { DaemonEvent, Status, VerdictCode } from '@gannet/contract';
import { type Browser, chromium, type Page } from 'playwright-core';
import type * as HttpWeb from '../../src/daemon/http/web.js';
import { VERDICT_STATUSES } from '../support/verdict-statuses.js';

const ROWS = Object.entries(VERDICT_STATUSES) as [VerdictCode, Status][];
/** As it is installed: browsers run what was compiled. */
const DIST = path.resolve(import.meta.dirname, '../../dist');
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const PICTURES = process.env['GANNET_SCREENSHOTS'];
const SCREENS = { desk: { width: 1200, height: 900 }, phone: { width: 390, height: 844 } } as const;
const LOOKS = ['light', 'dark'] as const;
const LONG = `/var/lib/${'images/'.repeat(20)}root.raw: no space left`;

let dir: string;
let web: HttpWeb.Web;
let browser: Browser;
let page: Page;
let shown: Status = VERDICT_STATUSES.protected;
const called: string[] = [];
const complaints: string[] = [];

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gannet-page-'));
  if (PICTURES !== undefined) await mkdir(PICTURES, { recursive: true });
  const { Web } = (await import(path.join(DIST, 'daemon/http/web.js'))) as typeof HttpWeb;
  const status = (): Promise<Status> => Promise.resolve(shown);
  const action = (name: string) => (): Promise<Status> => {
    called.push(name);
    return status();
  };
  const methods = {
    ...{ status, events: () => Promise.resolve(EVENTS) },
    ...{ protect: action('protect'), reprotect: action('reprotect') },
  };
  const listen = { type: 'inet', host: '127.0.0.1', port: 0 } as const;
  const config = { listen, tokenFile: path.join(dir, 'token'), hosts: [] };
  const metrics = { text: () => Promise.resolve(''), contentType: 'text/plain' };
  web = await Web.listen({ config, methods, metrics });
  const args = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'];
  browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args });
  page = await browser.newPage();
  page.setDefaultTimeout(60_000);
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  await page.goto(web.pageUrl);
  await page.locator('#verdict').waitFor();
  await page.evaluate(await readFile(AXE, 'utf8'));
});

afterAll(async () => {
  await browser.close();
  await web.close();
  await rm(dir, { recursive: true, force: true });
});

/** The page hears of an event, and asks for the status. */
async function show(status: Status): Promise<void> {
  shown = status;
  web.publish({ at: AT, role: status.role, kind: 'listening', exports: [] });
  const { headline, remedy } = status.health;
  await page.getByRole('heading', { name: headline }).waitFor();
  // The one before may have had the same headline.
  await page.locator('.verdict', { hasText: remedy.replaceAll('`', '') }).waitFor();
}

interface Faults {
  readonly wide: readonly string[];
  readonly blankPx: number;
  readonly green: readonly string[];
  readonly cut: readonly string[];
}

/** In the page, as a string: tests are compiled without its types. */
const LOOK = `(() => {
  const root = document.documentElement;
  const words = (node) => node.tagName + '.' + node.className + ': ' + node.textContent.trim();
  const all = [...document.querySelectorAll('main *')];
  return {
    wide: root.scrollWidth > root.clientWidth
      ? all.filter((node) => node.getBoundingClientRect().right > root.clientWidth).map(words)
      : [],
    blankPx: Math.max(0, root.scrollHeight - Math.max(
      root.clientHeight, Math.ceil(document.querySelector('#app').getBoundingClientRect().height),
    )),
    green: [...document.querySelectorAll('main .good')].map(words),
    cut: all.filter((node) => node.scrollWidth > node.clientWidth + 1 && node.clientWidth > 1
      && getComputedStyle(node).overflowX !== 'visible').map(words),
  };
})()`;

test.each(ROWS)(
  '%s: fits, is whole, and has nothing green beside trouble',
  async (code, status) => {
    await show(status);
    const { level, headline, remedy } = status.health;
    const verdict = page.locator('.verdict');
    const said = (await verdict.innerText()).replaceAll('\n', ' ');
    expect(said).toContain(headline);
    expect(said).toContain(remedy.replaceAll('`', ''));
    expect(said).toMatch(/Guest .*So since /);
    for (const look of LOOKS) {
      await page.emulateMedia({ colorScheme: look });
      for (const [screen, size] of Object.entries(SCREENS)) {
        await page.setViewportSize(size);
        const { green, ...faults } = await page.evaluate<Faults>(LOOK);
        const where = { code, look, screen };
        expect({ ...where, ...faults }).toEqual({ ...where, wide: [], blankPx: 0, cut: [] });
        if (level !== 'good') expect({ ...where, green }).toEqual({ ...where, green: [] });
        if (PICTURES !== undefined) {
          const name = `verdict-${code}-${look}-${screen}.png`;
          await page.screenshot({ path: path.join(PICTURES, name), fullPage: true });
        }
      }
      const kind = `${level} ${status.role} ${look}`;
      if (!judged.has(kind)) expect(await page.evaluate(CONTRAST)).toEqual([]);
      judged.add(kind);
    }
  },
);

/** What axe has looked at: a level has one look, whatever is said. */
const judged = new Set<string>();
const CONTRAST = `axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag22aa'] })
  .then(({ violations }) => violations.map(({ id, nodes }) =>
    id + ': ' + nodes.map(({ target, failureSummary }) => target + ' ' + failureSummary)))`;

test('what the other daemon said before it fell silent looks old', async () => {
  await show(VERDICT_STATUSES['peer-silent']);
  const other = page.getByRole('article', { name: 'primary' });
  expect(await other.getAttribute('class')).toContain('old');
  expect(await other.innerText()).toContain('18 s ago');
});

test('the other side’s page is a link if it can be reached, else a command', async () => {
  await show(VERDICT_STATUSES.protected);
  const secondary = page.getByRole('article', { name: 'secondary' });
  const link = secondary.getByRole('link');
  expect(await link.getAttribute('href')).toBe('https://beta.example:9470/');
  expect(await secondary.innerText()).toMatch(/responding, 7\.2\.22[^]*Gannet[^]*0\.1\.0/);
  await show(VERDICT_STATUSES['link-lost']);
  const primary = page.getByRole('article', { name: 'primary' });
  expect(await primary.locator('code').innerText()).toBe('gannet page web');
});

test('the progress of a copy and of a failover is at the top', async () => {
  await show(VERDICT_STATUSES.protecting);
  expect(await page.getByLabel(/First copy: 7\.0 GiB of 20\.0 GiB.*2 min left/).count()).toBe(1);
  const done = await page.evaluate('document.querySelector(".verdict progress").position');
  expect(done).toBeCloseTo(0.35);
  await show(VERDICT_STATUSES.moving);
  expect(await page.getByLabel(/Failover: write back: 300 MiB of 1\.0 GiB/).count()).toBe(1);
});

test('protection begins after a question that says what it costs', async () => {
  await show(VERDICT_STATUSES.unprotected);
  await page.getByRole('button', { name: 'Protect' }).click();
  const dialog = page.getByRole('dialog');
  expect(await dialog.innerText()).toContain('every 2.0 s or sooner');
  expect(called).toEqual([]);
  await dialog.getByRole('button', { name: 'Protect' }).click();
  await dialog.getByText('Protect: done.').waitFor();
  expect(called).toEqual(['protect']);
  await dialog.getByRole('button', { name: 'Close' }).click();
});

test('a command in a remedy can be told apart', async () => {
  await show(VERDICT_STATUSES['down-take-over']);
  expect(await page.locator('.verdict code').allInnerTexts()).toEqual(['gannet failover web']);
  await show(VERDICT_STATUSES.unprotected);
  expect(await page.locator('.verdict code').allInnerTexts()).toEqual([
    'gannet check web',
    'gannet protect web',
  ]);
});

test('the browser had nothing to complain of', () => {
  expect(complaints).toEqual([]);
});

const AT = '2026-01-01T10:00:00.000Z';
const COMMIT = { committedPages: 714_000, droppedPages: 1_040_000, gateClosedMs: 2.39 };
const EVENTS: readonly DaemonEvent[] = [
  { at: AT, role: 'primary', kind: 'alone', reason: LONG, secondaryKnows: false },
  { at: AT, role: 'primary', kind: 'trouble', code: 'X', message: LONG, remedy: `See ${LONG}.` },
  ...Array.from({ length: 60 }, (_, at): DaemonEvent[] => {
    const here = { at: AT, role: 'primary' } as const;
    const epoch = 3_412_900 + at;
    const cause = (['period', 'demand', 'memory', 'output'] as const)[at % 4] ?? 'period';
    return [
      { ...here, kind: 'peer', pulse: at % 2 ? 'late' : 'up', silentMs: 900 + at },
      { ...here, kind: 'checkpoint', ...COMMIT, epoch, cause, pausedMs: 10 + at },
    ] as DaemonEvent[];
  }).flat(),
];
