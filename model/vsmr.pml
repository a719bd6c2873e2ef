/* A checkpoint without COLO: two phases, the secondary decides. README.md explains it;
 * model/check.mjs runs it. The code is packages/vsmr: primary-engine.ts, secondary-engine.ts.
 *
 * A VM is two pages of RAM, a device, and a disk of one block. What a guest writes is a number that
 * nobody has written before: its own turn, and FOREIGN more for the secondary. Each turn changes
 * the device, page 0 (a ring of that device, which reads it when it is loaded) and the disk, and
 * page 1 or not. The disk is a base with what each side has written since the last commit.
 */
#ifndef CHECKPOINTS
#define CHECKPOINTS 2
#endif
#ifndef TURNS
#define TURNS 1      /* of the primary's guest, between two checkpoints; its own of the other: 1 */
#endif
#ifndef CRASHES
#define CRASHES 0    /* of either side, with all on its host */
#endif
#ifndef CUTS
#define CUTS 0       /* of the connection, while both live */
#endif
#ifndef FAILS
#define FAILS 0      /* steps that fail, on either side */
#endif

#define FOREIGN 100
#define NOWHERE 255  /* a device whose ring was not there when it was loaded */
#define P 0
#define S 1

mtype = { PREPARE, HASH, PAGE, DEVICE, END, CANCEL };     /* to the secondary */
mtype = { DIRTY, STOPPED, WANT, COMMITTED, ABORTED };     /* to the primary */
chan toS = [2] of { mtype, byte, byte };
chan toP = [2] of { mtype, byte, byte };
bool isCut;

typedef Vm { byte ram[2]; byte device; bool runs; bool lives; byte dirty; byte turns }
Vm vm[2];
byte base, written[2];       /* 0: nothing since the last commit */
#define disk(side) (written[side] != 0 -> written[side] : base)

byte pending[2];             /* pages that may differ, as far as a side knows: a bit each */
byte number;                 /* checkpoints that the secondary has */
bool isUnfit, hasTakenOver, isAlone;
byte failures;

/* Ghosts: what the primary was when it was paused; what the secondary must be */
byte shotRam[2], shotDevice, shotDisk, shotTurn;
byte mustRam[2], mustDevice, mustDisk;
byte knownTurn;              /* of the primary, that the secondary has */
bool hasLostPrimary;         /* the primary was dead when a checkpoint was applied */

#define bit(page) (1 << page)

inline remember() {
  mustRam[0] = vm[S].ram[0]; mustRam[1] = vm[S].ram[1];
  mustDevice = vm[S].device; mustDisk = disk(S)
}

/* The secondary is what it was, or the checkpoint: never a mixture. */
inline judgeWhole() {
  assert(vm[S].ram[0] == mustRam[0] && vm[S].ram[1] == mustRam[1]);
  assert(vm[S].device == mustDevice);
  assert(disk(S) == mustDisk)
}

/* Packets of the primary leave when the secondary has what they speak of. */
inline release() {
  assert(knownTurn >= vm[P].turns)
}

proctype Guest(byte side) {
  byte value;
  end: do
  :: atomic {
       vm[side].runs && vm[side].lives && !hasTakenOver && !isAlone &&
       vm[side].turns < (side == P -> TURNS : 1) * (number + 1) ->
       vm[side].turns++;
       value = vm[side].turns + (side == S -> FOREIGN : 0);
       vm[side].device = value;
       vm[side].ram[0] = value;
       vm[side].dirty = vm[side].dirty | bit(0);
       if
       :: vm[side].ram[1] = value; vm[side].dirty = vm[side].dirty | bit(1)
       :: true
       fi;
       written[side] = value;
       value = 0;
       if
       :: side == S -> remember()
       :: else
       fi
     }
  od
}

/* Saving the state of a device may change RAM. */
inline save(side, into) {
  if
  :: vm[side].ram[1] = vm[side].ram[1] ^ 128; vm[side].dirty = vm[side].dirty | bit(1)
  :: true
  fi;
  into = vm[side].device
}

inline refresh(side) {
  pending[side] = pending[side] | vm[side].dirty;
  vm[side].dirty = 0
}

/* A step fails, or not. */
#define orFail(label) if :: failures < FAILS -> failures++; goto label :: true fi

#define SEND(to, kind, a, b, lost) \
  if :: !isCut && nfull(to) -> to!kind(a, b) :: isCut -> goto lost fi

proctype Primary() {
  byte page, device, mask;
  {
    skip;
  idle:
    if
    :: number < CHECKPOINTS && !isCut -> skip
    :: isCut -> goto cut
    fi;
    atomic { SEND(toS, PREPARE, 0, 0, cut) };
#ifdef MUTANT_STALE_DEVICE
    device = vm[P].device;
#endif
    vm[P].runs = false;
    orFail(cancel);
    atomic {
#ifdef MUTANT_RAM_BEFORE_SAVE
      refresh(P);
#endif
#ifdef MUTANT_STALE_DEVICE
      save(P, mask);
#else
      save(P, device);
#endif
      mask = 0;
      shotRam[0] = vm[P].ram[0]; shotRam[1] = vm[P].ram[1];
      shotDevice = vm[P].device; shotDisk = disk(P); shotTurn = vm[P].turns;
#ifndef MUTANT_RAM_BEFORE_SAVE
      refresh(P)
#endif
    }
    do
    :: toP?DIRTY(mask, _) -> pending[P] = pending[P] | mask; mask = 0
    :: toP?STOPPED(_, _) -> break
    :: toP?ABORTED(_, _) -> goto aborted
    :: isCut && empty(toP) -> goto cut
    od;
    page = 0;
    do
    :: page < 2 && (pending[P] & bit(page)) ->
       atomic { SEND(toS, HASH, page, vm[P].ram[page], cut) };
       if
       :: toP?WANT(mask, _) ->
          if
          :: mask -> SEND(toS, PAGE, page, vm[P].ram[page], cut)
          :: else
          fi
       :: toP?ABORTED(_, _) -> goto aborted
       :: isCut && empty(toP) -> goto cut
       fi;
       mask = 0; page++
    :: page < 2 && !(pending[P] & bit(page)) -> page++
    :: page == 2 -> break
    od;
    atomic { SEND(toS, DEVICE, device, 0, cut); SEND(toS, END, 0, 0, cut) };
#ifdef MUTANT_OUTPUT_EARLY
    release();
#endif
    if
    :: toP?COMMITTED(_, _) -> skip
    :: toP?ABORTED(_, _) -> goto aborted
    :: isCut && empty(toP) -> goto cut
    fi;
    atomic { pending[P] = 0; page = 0; device = 0 };
    release();
    vm[P].runs = true;
    goto idle;
  cancel:
    SEND(toS, CANCEL, 0, 0, cut);
    do
    :: toP?ABORTED(_, _) -> break
    :: toP?DIRTY(_, _)
    :: toP?STOPPED(_, _)
    :: toP?WANT(_, _)
    :: isCut && empty(toP) -> goto cut
    od;
  aborted:
    atomic { page = 0; device = 0; mask = 0 };
#ifdef MUTANT_FORGETS_PENDING
    pending[P] = 0;
#endif
    vm[P].runs = true;
    goto idle;
  cut:
    /* Output stays held, until the secondary is known to be dead. */
    !vm[S].lives;
    isAlone = true;
    vm[P].runs = true
  } unless { !vm[P].lives }
}

proctype Secondary() {
  byte page, value, own, device, staged[2], before[2], stagedPages;
  bool isPreparing;
  {
    skip;
  idle:
    do
    :: toS?PREPARE(_, _) ->
       isPreparing = true;
       vm[S].runs = false;
       orFail(abort);
       atomic {
         if
         :: number > 0 -> save(S, own); remember()
         :: else
         fi;
         refresh(S)
       }
       atomic { SEND(toP, DIRTY, pending[S], 0, cut); SEND(toP, STOPPED, 0, 0, cut) }
    :: atomic {
         toS?HASH(page, value) ->
         if
         :: isPreparing ->
#ifdef MUTANT_PAGE_LEFT_OUT
            SEND(toP, WANT, page == 0 && vm[S].ram[page] != value, 0, cut)
#else
            SEND(toP, WANT, vm[S].ram[page] != value, 0, cut)
#endif
         :: else
         fi
       }
    :: atomic {
         toS?PAGE(page, value) ->
         if
         :: isPreparing ->
#ifdef MUTANT_APPLIED_EARLY
            vm[S].ram[page] = value
#else
            staged[page] = value; stagedPages = stagedPages | bit(page)
#endif
         :: else
         fi
       }
    :: toS?DEVICE(device, _)
    :: toS?END(_, _) ->
       if
       :: isPreparing -> goto decide
       :: else
       fi
    :: toS?CANCEL(_, _) ->
       if
       :: isPreparing -> goto abort
       :: else
       fi
    :: isCut && empty(toS) -> goto cut
    od;
  abort:
    isPreparing = false; stagedPages = 0;
    if
    :: number > 0 -> vm[S].runs = true
    :: else
    fi;
    SEND(toP, ABORTED, 0, 0, cut);
    goto idle;
  decide:
    /* The commit point. From here on it needs nothing of the primary. */
    isPreparing = false;
    before[0] = vm[S].ram[0]; before[1] = vm[S].ram[1];
#ifdef MUTANT_COMMIT_BEFORE_APPLY
    atomic { base = disk(P); written[P] = 0; written[S] = 0 }
#endif
#ifdef MUTANT_RAM_AFTER_DEVICE
    vm[S].device = (vm[S].ram[0] == device -> device : NOWHERE);
#endif
    page = 0;
    do
    :: page < 2 ->
       orFail(undo);
       if
       :: stagedPages & bit(page) -> vm[S].ram[page] = staged[page]
       :: else
       fi;
       page++
    :: page == 2 -> break
    od;
    orFail(undo);
#ifndef MUTANT_RAM_AFTER_DEVICE
#ifdef MUTANT_OWN_DEVICE
    vm[S].device = (number > 0 -> own : device);
#else
    vm[S].device = (vm[S].ram[0] == device -> device : NOWHERE);
#endif
#endif
    orFail(undo);
    atomic {
#ifndef MUTANT_COMMIT_BEFORE_APPLY
      base = disk(P); written[P] = 0; written[S] = 0;
#endif
      number++; pending[S] = 0; knownTurn = shotTurn;
      hasLostPrimary = !vm[P].lives;
      mustRam[0] = shotRam[0]; mustRam[1] = shotRam[1];
      mustDevice = shotDevice; mustDisk = shotDisk;
      judgeWhole();
      page = 0; value = 0; own = 0; device = 0; stagedPages = 0;
      staged[0] = 0; staged[1] = 0; before[0] = 0; before[1] = 0;
      vm[S].runs = true
    }
    SEND(toP, COMMITTED, 0, 0, cut);
    goto idle;
  undo:
    stagedPages = 0; page = 0;
    if
    :: number == 0 -> skip
    :: else ->
#ifndef MUTANT_NO_UNDO
       do
       :: page < 2 -> orFail(unfit); vm[S].ram[page] = before[page]; page++
       :: page == 2 -> break
       od;
#endif
       orFail(unfit);
       vm[S].device = (vm[S].ram[0] == own -> own : NOWHERE);
       judgeWhole();
#ifdef WITNESS_UNDONE
       assert(false);
#endif
       vm[S].runs = true
    fi;
    SEND(toP, ABORTED, 0, 0, cut);
    goto idle;
  unfit:
    /* Only if it fails twice. */
    assert(failures > 1);
    isUnfit = true;
#ifdef WITNESS_UNFIT
    assert(false);
#endif
    SEND(toP, ABORTED, 0, 0, cut);
    /* It takes part in no other checkpoint. */
    if
    :: toS?PREPARE(_, _) -> isCut = true
    :: isCut && empty(toS)
    fi;
  cut:
#ifdef MUTANT_TORN_APPLIED
    if
    :: isPreparing -> goto decide
    :: else
    fi;
#endif
    isPreparing = false;
    if
    :: number > 0 && !isUnfit && !vm[S].runs -> vm[S].runs = true
    :: else
    fi;
    /* It takes over when the primary is known to be dead. */
    !vm[P].lives;
    if
    :: number > 0 && !isUnfit ->
       vm[S].runs = false;
       atomic {
         written[P] = 0;
         hasTakenOver = true;
         judgeWhole();
#ifdef WITNESS_LAST
         assert(knownTurn == shotTurn);
#endif
#ifdef WITNESS_FINISHED_ALONE
         assert(!hasLostPrimary);
#endif
         vm[S].runs = true
       }
    :: else
    fi
  } unless { !vm[S].lives }
}

proctype World() {
  byte crashes = CRASHES, cuts = CUTS;
  do
  :: atomic { crashes > 0 -> crashes--; vm[P].lives = false; vm[P].runs = false; isCut = true }
  :: atomic { crashes > 0 -> crashes--; vm[S].lives = false; vm[S].runs = false; isCut = true }
  :: atomic { cuts > 0 && !isCut -> cuts--; isCut = true }
  :: timeout -> break
  od;
  /* Nothing more can happen. */
  assert(failures > 0 || isCut || number == CHECKPOINTS);
  assert(isCut || vm[P].runs);
  assert(vm[P].lives || !vm[S].lives || number == 0 || isUnfit || (hasTakenOver && vm[S].runs));
  assert(vm[S].lives || !vm[P].lives || (isAlone && vm[P].runs))
}

init {
  atomic {
    vm[P].lives = true; vm[P].runs = true; vm[S].lives = true;
    vm[P].turns = 1; vm[P].device = 1; vm[P].ram[0] = 1; vm[P].ram[1] = 1; vm[P].dirty = 3;
    written[P] = 1;
    run Guest(P); run Guest(S); run Primary(); run Secondary(); run World()
  }
}
