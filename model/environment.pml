/* QEMU (docs/explanation/architecture.md; migration/colo.c in QEMU), the network, and people. */

#define pvmValue (2 * pvmEpoch + 2)
#define svmValue (2 * svmEpoch + 3)
byte svmEpoch;
#define SVM !isOver
bool pvmRuns;                /* its guest */
bool pvmIsDirty[2];          /* written since the last flush */

/* ---- the primary VM: its guest ---- */

inline pvmWrites(d, link) {
  pvmMem[d] = pvmValue;
  printf("PVM: writes %d to disk %d\n", pvmValue, d);
  pvmIsDirty[d] = true;
  if
  :: isCut[d] -> missing(); isMissingUnseen = true   /* QEMU swallows the error */
  :: else -> pvmWaits[d] = true; link!WRITE,pvmValue
  fi
}

/* QEMU flushes nothing that was not written. */
inline pvmFlushes(d, link) {
  if
  :: pvmIsDirty[d] && !isCut[d] -> pvmWaits[d] = true; link!FLUSH,0
  :: else
  fi;
  pvmIsDirty[d] = false
}

#ifdef SLOW_END
#define IS_NOTICED true
#else
/*
 * Assumed: the replicator has seen the end of a broken link by the time that the PVM's state is
 * sent.
 */
#define IS_NOTICED ((!isCut[0] || (empty(pvmNbd0) && !place[0].kind)) && (!isCut[1] || \
  (empty(pvmNbd1) && !place[1].kind)))
#endif
#define PVM (!isOver && pvmLives)
#define pvmIsDrained (!pvmWaits[0] && !pvmWaits[1])
/*
 * At most one write a disk and epoch, disk 0 first, any time apart: what differs only by the disks'
 * names is left out.
 */
active proctype PvmGuest() {
end:
  do
  :: atomic { PVM && pvmRuns && pvmMem[0] != pvmValue -> pvmWrites(0, pvmNbd0) }
#if DISKS > 1
  :: atomic { PVM && pvmRuns && pvmIsDrained && pvmMem[0] == pvmValue && pvmMem[1] != pvmValue ->
     pvmWrites(1, pvmNbd1) }
#endif
  od
}

/* ---- the primary VM: COLO's thread. Every step needs a living process. ---- */
active proctype PvmColo() {
  /* COLO's start: an ordinary migration has ended, the guest is stopped, its disks are alike. A
   * mirror carried its writes: one that failed would have ended the mirror, and there would be no
   * start. */
  atomic { PVM && !isCut[0] && !isCut[1] -> toSvm!START,pvmMem[0],pvmMem[1] }
end1:
  atomic { PVM && toPvm?[READY] -> toPvm?READY; printf("PVM: RESUME, COLO has started\n");
    pvmEpoch++; pvmRuns = true }
end2:
  do
  :: atomic { PVM && pvmEpoch <= EPOCHS -> toSvm!REQUEST,0,0 }
end3:
     /*
      * Until here its guest has gone on, and may have written: those writes are of the closing
      * epoch.
      */
     atomic { PVM && toPvm?[REPLY] -> toPvm?REPLY; pvmRuns = false }
#if CRASH + CUT > 0
end4:
     atomic { PVM && pvmIsDrained -> pvmFlushes(0, pvmNbd0); pvmFlushes(1, pvmNbd1) }
#endif
end5:
     atomic { PVM && pvmIsDrained && IS_NOTICED ->
       printf("PVM: is stopped and drained, sends its state\n"); toSvm!STATE,pvmMem[0],pvmMem[1] }
end6:
     atomic { PVM && toPvm?[LOADED] -> toPvm?LOADED; printf("PVM: RESUME\n"); pvmEpoch++;
       pvmRuns = true }
  od
}

/*
 * ---- the secondary VM. An event is in the QMP socket before anything that follows it leaves the
 * process. ----
 */
/* Its guest: one request at a time; it writes to disk 0 and reads both. */
active proctype SvmGuest() {
end:
  do
  :: atomic { SVM && runState == RUNNING && !svmWaits && svmMem[0] != svmValue ->
     svmMem[0] = svmValue; printf("SVM: writes %d to disk 0\n", svmValue); svmWaits = WRITE;
       svmNbd!WRITE,0 }
  :: atomic { SVM && runState == RUNNING && !svmWaits -> svmWaits = READ; svmNbd!READ,0 }
#if DISKS > 1
  :: atomic { SVM && runState == RUNNING && !svmWaits -> svmWaits = READ; svmNbd!READ,1 }
#endif
  od
}

bool failoverIsAsked;
#ifdef ANSWERED_FIRST
/* Assumed: the replicator has decided about a RESUME before the SVM stops again. */
#define CALM (empty(qmp) && empty(ask) && items == 0)
#else
#define CALM true
#endif
/* vm_start(): on a VM that runs already it says STOP and RESUME in the same breath. */
inline vmStart() {
  printf("SVM: RESUME, run state was %d\n", runState);
  if
  :: runState == RUNNING -> qmp!STOP,0; qmp!RESUME_AT_ONCE,svmEpoch
  :: else -> runState = RUNNING; qmp!RESUME,svmEpoch
  fi
}

inline load(what) {
  toSvm?what,svmMem[0],svmMem[1];
  svmEpoch++;
  atStop[2 * svmEpoch] = svmMem[0]; atStop[2 * svmEpoch + 1] = svmMem[1]
}

active proctype SvmColo() {
end0:
  atomic { SVM && toSvm?[START] -> load(START); mode = MODE_SECONDARY; vmStart(); toPvm!READY }
idle:
end1:
  atomic {
    if
    :: SVM && failoverIsAsked -> goto failover
    :: SVM && CALM && toSvm?[REQUEST] -> toSvm?REQUEST,_,_;
       /* vm_stop_force_state(): under a user's stop there is no event, only another run state. */
       printf("SVM: stops for a checkpoint, run state was %d\n", runState);
       if :: runState == RUNNING -> qmp!STOP,0 :: else fi;
       runState = IN_COLO
    fi
  }
end2:
  atomic {
    if
    :: SVM && failoverIsAsked -> goto failover
    :: SVM && !svmWaits -> toPvm!REPLY
    fi
  }
end3:
  atomic {
    if
    :: SVM && failoverIsAsked -> goto failover
    :: SVM && toSvm?[STATE] -> load(STATE); vmStart();
       /*
        * A failover that is asked for while it loads comes after this RESUME, and the PVM hears
        * nothing of LOADED.
        */
       if :: failoverIsAsked -> goto failover :: else -> toPvm!LOADED fi
    fi
  }
  goto idle;

failover:
  /* colo_do_failover(): stop and drain first, then the mode changes, then vm_start(). */
  atomic { SVM && CALM ->
    printf("SVM: stops for the failover, run state was %d\n", runState);
    if
    :: runState == RUNNING -> qmp!STOP,0; runState = IN_COLO
    :: else
    fi
  }
end4:
  atomic { SVM && !svmWaits -> mode = MODE_LAST; printf("SVM: fails over\n")
#ifndef ANSWER_IN_FAILOVER
    ; vmStart() }
#else
  }
  atomic { SVM -> vmStart() }
#endif
}

/* QEMU's main loop answers questions in their order, at any time. */
active proctype SvmMonitor() {
end:
  do
  :: atomic { SVM && ask?[ASK_RUN] && nfull(qmp) -> ask?ASK_RUN;
     printf("SVM: answers run state %d\n", runState); qmp!IS_RUN,runState;
     if :: runState == PAUSED -> stopIsKnown = true :: else fi }
  :: atomic { SVM && ask?[ASK_COLO] && nfull(qmp) -> ask?ASK_COLO;
     printf("SVM: answers COLO mode %d\n", mode); qmp!IS_COLO,mode }
  od
}

/* ---- faults and people ---- */

/*
 * What becomes of bytes that are on the way when a link ends: they arrive, or are lost in whole or
 * in part.
 */
inline endLink(d, link) {
  if
  :: len(link) > 0 ->
     if
     :: link!END_CLEAN,0
     :: true -> if :: link?[WRITE,_] -> missing(); isMissingUnseen = true :: else fi; link?_,_;
        link!END_CLEAN,0
     :: true -> if :: link?[WRITE,_] -> missing() :: else fi; link?_,_; link!END_TORN,0
     fi
  :: else -> link!END_CLEAN,0
  fi;
  printf("link of disk %d ends\n", d);
  isCut[d] = true;
  pvmWaits[d] = false
}

#if CUT > 0
active proctype Network() {
end:
  do
  :: atomic { !isOver && pvmLives && !isCut[0] && len(pvmNbd0) < 2 -> endLink(0, pvmNbd0) }
     if :: CUT > 1 :: else -> break fi
  :: atomic { !isOver && pvmLives && !isCut[1] && len(pvmNbd1) < 2 -> endLink(1, pvmNbd1) }
     if :: CUT > 1 :: else -> break fi
  od
}
#endif

#if CRASH > 0
active proctype Crash() {
end:
  atomic { !isOver && pvmLives ->
    printf("PVM: dies\n");
    pvmLives = false;
    if :: !isCut[0] -> endLink(0, pvmNbd0) :: else -> skip fi;
    if :: !isCut[1] -> endLink(1, pvmNbd1) :: else -> skip fi;
    /* COLO's channel: the message that is on the way arrives, or not. */
    if
    :: nempty(toSvm) -> toSvm?_,_,_
    :: skip
    fi
  }
}
#endif

#if FAILOVER == 2
#define WHEN (!pvmLives || isLost)
#else
#define WHEN true
#endif
#ifdef KNOWN_HOLE
#define MAY_FAIL_OVER WHEN
#else
#define MAY_FAIL_OVER WHEN && !isInHole
#endif
#if FAILOVER > 0
active proctype Operator() {
end:
  atomic { !isOver && mode == MODE_SECONDARY && MAY_FAIL_OVER -> failoverIsAsked = true }
}
#endif

#ifdef QUICK_CONT
#define MAY_CONT true
#else
#define MAY_CONT stopIsKnown
#endif
#if USER > 0
active proctype User() {
  byte left = USER;
end:
  do
  :: atomic { !isOver && left > 0 && mode == MODE_SECONDARY && runState == RUNNING && nfull(qmp) ->
     left--; printf("user: stop\n"); runState = PAUSED; stopIsKnown = false; qmp!STOP,0 }
  :: atomic { !isOver && left > 0 && mode == MODE_SECONDARY && runState == PAUSED && nfull(qmp) &&
     MAY_CONT ->
     left--; printf("user: cont\n"); runState = RUNNING; qmp!RESUME,svmEpoch }
  :: atomic { !isOver && left > 0 && mode == MODE_SECONDARY && runState == RUNNING &&
     len(qmp) < 8 -> left--; printf("user: cont on a running VM\n");
     qmp!STOP,0;
#ifdef SLOW_CONT
     qmp!RESUME,svmEpoch
#else
     qmp!RESUME_AT_ONCE,svmEpoch
#endif
     }
#ifdef CONT_IN_CHECKPOINT
  :: atomic { !isOver && left > 0 && mode == MODE_SECONDARY && runState == IN_COLO && nfull(qmp) ->
     left--; printf("user: cont\n"); runState = RUNNING; qmp!RESUME,svmEpoch }
#endif
  od
}
#endif
