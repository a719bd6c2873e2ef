/* Which of the two sides may run, as a model for spin. README.md explains it; model/check.mjs runs
 * it.
 *
 * This file: what both sides share, the ghosts (variables that only assertions read), and the
 * world: power, network, fences, daemons that crash. sides.pml: what the daemons decide.
 */
#ifndef CRASHES
#define CRASHES 0    /* of a daemon, its QEMU lives on */
#endif
#ifndef DEATHS
#define DEATHS 0     /* of a QEMU, or of a host and all on it */
#endif
#ifndef CUTS
#define CUTS 0       /* of the peer link; COLO's own links may end at any time */
#endif
#ifndef FENCES
#define FENCES 1     /* that a side tries */
#endif
#ifndef FENCE_A
#define FENCE_A 1    /* whether the primary has a fence, against the secondary */
#endif
#ifndef FENCE_B
#define FENCE_B 1
#endif
#ifndef FORCES
#define FORCES 0     /* --force, on either side, at any time */
#endif
#ifndef PROTECTS
#define PROTECTS 0   /* gannet protect, after the first time */
#endif
#ifndef UNFIT
#define UNFIT 0      /* the secondary gets into doubt, or its VM hangs: how often */
#endif

/* The sides. A is the primary and B the secondary for good. */
#define A 0
#define B 1

/*
 * The word of a record. LEAVING: a primary that wants to go on alone, and may not yet. OPENING: one
 * that is alone, and about to be protected in this term.
 */
mtype = { NONE, PROTECTED, LEAVING, ALONE, TAKEN_OVER, OUTDATED, OPENING };
typedef Record { mtype word; byte term; bool isForced }
Record record[2];            /* on disk */
Record draft[2];             /* being written */
bool isWriting[2];

/*
 * A QEMU. IN_COLO: the primary's guest runs, with its replica; the secondary's can take over. RUNS:
 * the guest runs by itself. PAUSED: it stands still. GONE: no QEMU, or none that is of use.
 */
mtype = { IN_COLO, RUNS, PAUSED, GONE };
mtype vm[2];
bool isUp[2];                /* the daemon */
bool isInStep;               /* COLO runs and commits */
bool isFit;                  /* B is not in doubt, and its VM does not hang */

/* The peer link: at most one beat is on its way in each direction. */
bool isCut;
chan beats[2] = [1] of { mtype, byte, bool, bool };   /* to A, to B */
/* What a daemon knows of the other: the last beat, since it was silent last */
typedef Known { bool isHeard; mtype word; byte term; bool isForced; bool isGone }
Known known[2];

/* A fence command of A's, of B's: asked for; has hit; has exited with 0; has failed */
mtype = { ASKED, HIT, DONE, FAILED };
mtype fence[2];
byte fencesLeft[2] = FENCES;

bool isOpening;              /* A's daemon is about to protect */

/* Ghosts */
bool isBehind[2];            /* the other has made writes durable that this copy lacks */
bool isOverruled[2];         /* an operator has forced this side */
bool isRevived;              /* A's guest was started by others than Gannet */
bool tellsOfTwo[2];          /* the beat that is on its way to A, to B was sent while two ran */
bool hasHeardTwo[2];         /* ... and such a beat was heard */

#define hasEnded(x)  (fence[x] != ASKED && fence[x] != HIT)
#define isRunning(x) (vm[x] == RUNS || (x == A && vm[x] == IN_COLO))
#define areTwo       (isRunning(A) && isRunning(B))
#define isGone(x)    (vm[x] == GONE)

/* Two may run, or a copy be behind, if an operator or another program has overruled Gannet. */
#define isExcused (isOverruled[A] || isOverruled[B] || isRevived)
#ifdef FORCED_ALONE
#define isBehindByOthers isRevived
#else
#define isBehindByOthers (isOverruled[A] || isRevived)
#endif

/* W1: two guests run only if an operator has overruled it. */
inline judgeW1() {
  assert(!areTwo || isExcused);
#ifdef WITNESS_TWO
  assert(!areTwo)
#endif
}

inline forgetTwo() {
  if
  :: !areTwo ->
     hasHeardTwo[A] = false; hasHeardTwo[B] = false; tellsOfTwo[A] = false; tellsOfTwo[B] = false
  :: else
  fi
}

/* A guest that runs by itself writes at once: the other copy is behind from here on. */
inline runs(x) {
  vm[x] = RUNS;
  isInStep = false;
  isBehind[1 - x] = true;
  judgeW1()
}

inline stops(x) {
  if
  :: vm[x] == IN_COLO || vm[x] == RUNS -> vm[x] = PAUSED; isInStep = false;
     printf("%c: stops its guest\n", 65 + x)
  :: else
  fi;
  forgetTwo()
}

inline forget(x) {
  known[x].isHeard = false; known[x].word = 0; known[x].term = 0; known[x].isForced = false;
  known[x].isGone = false
}

inline write(x, what, when, how) {
  draft[x].word = what; draft[x].term = when; draft[x].isForced = how; isWriting[x] = true
}

inline raise(x, least) {
  if :: draft[x].term < least -> draft[x].term = least :: else fi
}

inline clearDraft(x) {
  draft[x].word = 0; draft[x].term = 0; draft[x].isForced = false; isWriting[x] = false
}

inline makeDurable(x) {
  record[x].word = draft[x].word; record[x].term = draft[x].term;
  record[x].isForced = draft[x].isForced;
  printf("%c: has written %e, term %d, forced %d\n", 65 + x, record[x].word, record[x].term,
    record[x].isForced);
  clearDraft(x)
}

#ifdef MUTANT_NO_LEAVING
#define IS_NO_LEAVING true
#else
#define IS_NO_LEAVING false
#endif
#ifdef MUTANT_LEAVING_RISES
#define IS_LEAVING_RISES true
#else
#define IS_LEAVING_RISES false
#endif
#include "sides.pml"

/* ---- the world ---- */

/* The replica is in the memory of its daemon: one that starts has nothing to protect. */
inline loseReplica() {
  if :: vm[B] == IN_COLO -> vm[B] = GONE; isInStep = false :: else fi;
  if :: word(B) != TAKEN_OVER -> word(B) = NONE; record[B].isForced = false :: else fi
}

inline loseBeat(x) {
  if :: nempty(beats[x]) -> beats[x]?_,_,_,_; tellsOfTwo[x] = false :: empty(beats[x]) fi
}

/* A crash while a record is written: the old one is there, or the new one. */
inline endDaemon(x) {
  isUp[x] = false;
#ifdef MUTANT_MEMORY_ONLY
  if :: x == A -> clearDraft(A); record[A].word = PROTECTED; record[A].term = 1 :: else fi;
#endif
  if
  :: isWriting[x] -> makeDurable(x)
  :: true -> clearDraft(x)
  fi;
  loseBeat(x);
  forget(x);
  /* A request that is on its way may still arrive; its result is lost. */
  if :: fence[x] != ASKED -> fence[x] = 0 :: true -> skip fi;
  if :: x == A -> isOpening = false :: else -> loseReplica() fi
}

inline endVm(x) {
  vm[x] = GONE;
  isInStep = false;
  forgetTwo()
}

inline endHost(x) {
  printf("%c: its host is off\n", 65 + x);
  if :: isUp[x] -> endDaemon(x) :: else fi;
  endVm(x)
}

proctype World() {
  byte crashes = CRASHES, deaths = DEATHS, cuts = CUTS, x;
end:
  do
  /* a daemon crashes; hosts and daemons come back */
  :: atomic { crashes > 0 -> crashes--; if :: x = A :: x = B fi;
       if :: isUp[x] -> printf("%c: its daemon crashes\n", 65 + x); endDaemon(x) :: else fi; x = 0 }
  :: atomic { !isUp[A] -> isUp[A] = true; printf("A: its daemon starts\n") }
  :: atomic { !isUp[B] -> isUp[B] = true; printf("B: its daemon starts\n") }
  :: atomic { deaths > 0 -> deaths--; if :: x = A :: x = B fi;
       if
       :: !isGone(x) -> printf("%c: its QEMU dies\n", 65 + x); endVm(x)
       :: !isGone(x) || isUp[x] -> endHost(x)
       :: else
       fi; x = 0 }
  /* Somebody starts A's QEMU again: libvirt, an operator, autostart after a fence. */
  :: atomic { isGone(A) ->
#ifdef AUTOSTART
#ifndef AUTOSTART_RUNS
       isRevived = true;
#endif
       printf("A: its QEMU is started again, the guest runs\n"); runs(A)
#else
       printf("A: its QEMU is started again, paused\n"); vm[A] = PAUSED
#endif
     }
  /* ... or B's, once it has taken over. */
  :: atomic { isGone(B) && word(B) == TAKEN_OVER && isBehind[A] ->
       printf("B: its QEMU is started again, paused\n"); vm[B] = PAUSED }
  /* the network */
  :: atomic { cuts > 0 && !isCut -> cuts--; isCut = true; printf("the peer link is cut\n");
       /* What is on its way is lost, or arrives late. */
       if :: loseBeat(A) :: skip fi;
       if :: loseBeat(B) :: skip fi }
  :: atomic { isCut -> isCut = false; printf("the peer link heals\n") }
  :: atomic { isInStep -> isInStep = false;
#ifdef SWALLOWED_WRITES
       isBehind[B] = true;
#endif
       printf("COLO's links break\n") }
#if UNFIT > 0
  :: atomic { isFit -> isFit = false; printf("B: is unfit\n") }
#endif
  /* a fence hits, with or without success; a delay is any time between two steps */
  :: atomic { fence[A] == ASKED -> endHost(B);
       if :: isUp[A] -> fence[A] = HIT :: else -> fence[A] = 0 fi }
  :: atomic { fence[B] == ASKED -> endHost(A);
       if :: isUp[B] -> fence[B] = HIT :: else -> fence[B] = 0 fi }
  :: atomic { fence[A] == HIT -> fence[A] = DONE; printf("A: its fence has succeeded\n") }
  :: atomic { fence[B] == HIT -> fence[B] = DONE; printf("B: its fence has succeeded\n") }
  :: atomic { fence[A] == ASKED || fence[A] == HIT -> fence[A] = FAILED;
       printf("A: its fence has failed\n") }
  :: atomic { fence[B] == ASKED || fence[B] == HIT -> fence[B] = FAILED;
       printf("B: its fence has failed\n") }
#ifdef FENCE_LIES
  :: atomic { fence[B] == ASKED -> fence[B] = DONE; printf("B: its fence lies\n") }
#endif
  od
}

#ifdef NEVER_RAN
#define hasNeverRun false
#else
/* B has written that it takes over, and has lost its replica before its guest ran. */
#define hasNeverRun (word(B) == TAKEN_OVER && isGone(B) && !isBehind[A])
#endif
/* Nobody can do anything any more: all that can be up is up, and the network is whole. */
proctype Rest() {
end:
  timeout -> assert(isRunning(A) || isRunning(B) || hasNeverRun)
}

init {
  atomic {
    word(A) = PROTECTED; term(A) = 1; word(B) = PROTECTED; term(B) = 1;
    vm[A] = IN_COLO; vm[B] = IN_COLO;
    isUp[A] = true; isUp[B] = true; isInStep = true; isFit = true;
    known[A].isHeard = true; known[A].word = PROTECTED; known[A].term = 1;
    known[B].isHeard = true; known[B].word = PROTECTED; known[B].term = 1;
    run World(); run Primary(); run Secondary();
#ifndef NO_REST
    run Rest()
#endif
  }
}
