// test/e2e/vsmr/vsmr-pair.ts
import { randomFillSync } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, open, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Checkpointer, ExternalSource, WriteBack } from "@gannet/checkpointer";
import {
  compareDigests,
  defaultRegions,
  diskNames,
  findGuest,
  guestDiskName,
  LabVm,
  primaryCommand,
  secondaryCommand
} from "@gannet/lab";
import { NbdServer } from "@gannet/nbd";
import { PrimaryDriver, SecondaryDriver, SnapshotVm } from "@gannet/qmp-driver";
import { Replica } from "@gannet/replicator";
import {
  FileRam,
  FrameLink,
  PrimaryEngine,
  SecondaryEngine
} from "@gannet/vsmr";
import { QmpClient } from "qemu-qmp-client";
var MIB = 1024 * 1024;
var MEMORY_MB = 128;
var DISK_MB = 64;
var FILL_MB = 8;
var VsmrPair = class _VsmrPair {
  constructor(folder, machine, options) {
    this.folder = folder;
    this.machine = machine;
    this.options = options;
  }
  events = [];
  #primary;
  #secondary;
  #engines;
  #served;
  #replica;
  #links = [];
  #servers = [];
  #source = new ExternalSource();
  #ends = [];
  #diverged;
  /** Boots the primary, copies its disks and its RAM while it runs. */
  static async create(options = {}) {
    const folder = await mkdtemp("/dev/shm/gannet-vsmr-");
    const machine = { guest: await findGuest(), type: options.type ?? "pc", memoryMb: MEMORY_MB };
    const pair2 = new _VsmrPair(folder, machine, options);
    try {
      await pair2.#begin();
    } catch (error) {
      await pair2.dispose();
      throw error;
    }
    return pair2;
  }
  get primary() {
    return started(this.#primary);
  }
  get secondary() {
    return started(this.#secondary);
  }
  get engines() {
    return started(this.#engines);
  }
  /** Kills the primary, as the end of its host would. */
  async killPrimary() {
    await this.primary.vm.kill("SIGKILL");
    for (const link of this.#links) link.destroy();
  }
  /** The guest goes on at the secondary, first from memory, then from its local files. */
  async takeOver() {
    await this.engines.secondary.takeOver();
    const replica = started(this.#replica);
    const files = this.#disks().map(({ device, base }, at) => {
      return { device, id: `local${at}`, file: { driver: "file", filename: base } };
    });
    await new SecondaryDriver(this.secondary.qmp).moveToLocal(files, () => replica.settle());
  }
  /** What the survivor remembers, against what its disks hold, and then all of it read again. */
  async compare() {
    const { vm } = this.secondary;
    const { oracle, gone: signal } = vm;
    await vm.command("stop");
    const digests = await oracle.waitForDigests(this.regions, { signal });
    const images = this.#disks().map(({ base }, at) => [guestDiskName(at), base]);
    const comparisons = await compareDigests(digests, Object.fromEntries(images));
    await vm.command("scan");
    await oracle.waitForScans(this.regions, { signal });
    return { digests: comparisons, isClean: oracle.clean };
  }
  get regions() {
    return defaultRegions(this.#disks().map((_, at) => guestDiskName(at))).length;
  }
  async dispose() {
    for (const link of this.#links) link.destroy();
    await this.#served;
    for (const side of [this.#primary, this.#secondary]) {
      await side?.qmp.close();
      await side?.ram.close();
      await side?.vm.dispose();
    }
    for (const end of this.#ends.reverse()) await end();
    for (const server of this.#servers) server.close();
    await rm(this.folder, { recursive: true });
  }
  async [Symbol.asyncDispose]() {
    await this.dispose();
  }
  async #begin() {
    const disks = this.#disks();
    for (const { local } of disks) await makeImage(local);
    const primary = primaryCommand(
      this.machine,
      disks.map(({ local }) => ({ path: local }))
    );
    this.#primary = await this.#start("primary", primary);
    await this.#primary.vm.oracle.waitForStart(this.regions);
    const replica = await this.#openReplica();
    const exportsOf = (name) => disks.length > 1 ? `${name}-svm` : "svm";
    const views = disks.map(({ name }) => {
      return { socketPath: this.#path("nbd"), exportName: exportsOf(name) };
    });
    const secondary = secondaryCommand(this.machine, views, "unused");
    this.#secondary = await this.#start("secondary", withoutIncoming(secondary));
    const driver = new PrimaryDriver(this.#primary.qmp);
    const links = disks.map(({ name, device }) => {
      const server = { type: "unix", path: this.#path("nbd") };
      const pvm = disks.length > 1 ? `${name}-pvm` : "pvm";
      return { device, link: "nbd", id: device, export: pvm, server };
    });
    await driver.seed(links);
    await driver.attach(links);
    await this.#connect(replica);
    await this.engines.primary.copyRam();
  }
  async #openReplica() {
    const disks = this.#disks().map(({ name, base }) => {
      return { name, base, sizeBytes: DISK_MB * MIB };
    });
    const replica = await Replica.open({ vm: "vsmr", disks });
    const now = () => performance.now();
    new Checkpointer({
      ...{ source: this.#source, replica, now },
      onEvent: (event) => {
        if (event.kind === "diverged") this.#diverged = event.reason;
      }
    }).start();
    const writeBack = new WriteBack({ target: replica, clock: { now, sleep: (ms) => sleep(ms) } });
    replica.on(({ kind }) => {
      if (kind === "backlog") writeBack.kick();
    });
    const server = new NbdServer({ exports: replica.exports, admission: replica.gate });
    await server.listen({ path: this.#path("nbd") });
    this.#ends.push(
      () => replica.close(),
      () => server.close(),
      () => writeBack.stop()
    );
    this.#replica = replica;
    return replica;
  }
  async #connect(replica) {
    const server = createServer().listen(this.#path("link"));
    this.#servers.push(server);
    const client = connect(this.#path("link"));
    const [accepted] = await once(server, "connection");
    this.#links = [client, accepted];
    const { primary, secondary } = this;
    const engine = new SecondaryEngine({
      ...{ guest: secondary.guest, ram: secondary.ram, disks: this.#disksPort(replica) },
      link: new FrameLink(accepted, secondary.ram),
      onEvent: (event) => this.events.push(event)
    });
    this.#served = engine.serve();
    const link = new FrameLink(client, primary.ram);
    const ports = { guest: primary.guest, ram: primary.ram, link, clock: performance };
    this.#engines = { primary: await PrimaryEngine.start(ports), secondary: engine };
  }
  #disksPort(replica) {
    const check = () => {
      if (this.#diverged !== void 0) throw new Error(this.#diverged);
    };
    return {
      commit: () => {
        this.#source.seal();
        this.#source.commit();
        check();
      },
      failOver: async () => {
        this.#source.failOver();
        check();
        await replica.failoverDurable();
      }
    };
  }
  async #start(name, { args }) {
    const file = this.#path(`${name}.ram`);
    const backend = `memory-backend-file,id=ram0,size=${MEMORY_MB}M,mem-path=${file},share=on`;
    const vm = await LabVm.start({
      ...{ name, dir: this.folder, qemu: [this.options.qemu ?? "qemu-system-x86_64"] },
      args: [...args, "-object", backend, "-machine", "memory-backend=ram0"]
    });
    const qmp = await QmpClient.connect({ target: { kind: "unix", path: vm.qmpPaths[1] } });
    const guest = new SnapshotVm(qmp, { folder: this.folder, id: `${name}-devices` });
    const ram = await FileRam.open(await guest.prepare());
    return { vm, qmp, guest, ram };
  }
  #disks() {
    return Array.from({ length: this.options.disks ?? 1 }, (_, at) => ({
      name: `disk${at}`,
      device: diskNames(at).device,
      local: this.#path(`primary${at}.raw`),
      base: this.#path(`base${at}.raw`)
    }));
  }
  #path(name) {
    return path.join(this.folder, name);
  }
};
function withoutIncoming({ args }) {
  const at = args.indexOf("-incoming");
  return { args: [...args.slice(0, at), ...args.slice(at + 2), "-S"] };
}
async function makeImage(file) {
  const image = await open(file, "wx");
  const fill = randomFillSync(Buffer.alloc(FILL_MB * MIB));
  await image.write(fill, 0, fill.length, (DISK_MB - FILL_MB) * MIB);
  await image.close();
}
function started(part) {
  if (part === void 0) throw new Error("the pair has not been started");
  return part;
}

// node_modules/.prof/steps.ts
import { setTimeout as sleep2 } from "node:timers/promises";
var pair = await VsmrPair.create();
var spans = {};
for (const side of ["primary", "secondary"]) {
  const q = pair[side].qmp;
  const f = q.execute.bind(q);
  q.execute = async (c, a, o) => {
    const t = performance.now();
    try {
      return await f(c, a, o);
    } finally {
      (spans[`${side} ${c}`] ??= []).push(performance.now() - t);
    }
  };
  const g = pair[side].guest;
  for (const n of ["saveDevices", "loadDevices"]) {
    const h = g[n].bind(g);
    g[n] = async (x) => {
      const t = performance.now();
      try {
        return await h(x);
      } finally {
        (spans[`${side} ${n}`] ??= []).push(performance.now() - t);
      }
    };
  }
}
await pair.engines.primary.checkpoint();
for (let i = 0; i < 25; i++) {
  for (const side of ["primary", "secondary"]) {
    const g = pair[side].guest;
    await g.pause();
    const s = await g.saveDevices();
    await g.loadDevices(s);
    await g.resume();
    await sleep2(30);
  }
}
for (const [k, a] of Object.entries(spans)) {
  a.sort((x, y) => x - y);
  console.log(k.padEnd(40), "n", a.length, "min", a[0].toFixed(2), "p25", a[a.length >> 2].toFixed(2), "p50", a[a.length >> 1].toFixed(2));
}
await pair.dispose();
