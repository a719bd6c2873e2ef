/* What the replicator does: one process, one event loop. Names follow packages/replicator/src and
 * packages/checkpointer/src: gate.ts, colo-source.ts, checkpointer.ts, primary-link.ts, exports.ts.
 */

/* ---- disks (disk.ts, exports.ts) ---- */
byte committed[2] = 1;       /* committed epochs over the base */
byte P[2];                   /* the PVM's open epoch */
byte S[2];                   /* the SVM's own writes of this epoch */
bool isProtected;            /* false: seeding */
#define VIEW(d) (S[d] -> S[d] : committed[d])

/* ---- the PVM's link (primary-link.ts) ---- */
bool isLost, lossWasClean;
bool isUnflushed[2];
bool lostDisk[2];            /* for the mutant with a gate for each disk */

/* ---- the gate (gate.ts): a place for each connection. A guest has one request on its way ---- */
#define NONE  0
#define FRESH 1
#define AGED  2
#define HELD  3
typedef Place { mtype kind; byte value; byte age }
Place place[3];              /* 0, 1: the PVM's disks; 2: the SVM's */
bool isClosed;
#ifdef MUTANT_GATE_OF_ONE_DISK
#define isClosedFor(c) (isClosed && c != 1 && (c == 0 || place[2].value == 0))
#else
#define isClosedFor(c) isClosed
#endif
bool qmpWasPolled;           /* in this poll phase */

/* ---- ColoSource: events whose meaning is not decided yet ---- */
#define IS_STOP   1
#define IS_RESUME 2
typedef Item { byte kind; byte answer; bool stoppedBefore; bool atOnce; byte epoch }
#define ITEMS 8
Item item[ITEMS];            /* answer: 0 none yet; of a STOP the run state, of a RESUME 1 + mode */
byte items;
byte stoppedIn;              /* run state at the last STOP */

/* ---- Checkpointer ---- */
bool wasWholeAtStop, isInDoubt, hasEnded;
bool mustCommit;             /* mutants: a commit that is due later */
byte which;                  /* ghost: the SVM's epoch that began with the RESUME in question */

hidden byte i, n, behind, at;
hidden mtype m;
hidden byte v;
hidden byte goOn, isContinued;

inline openGate() {
  isClosed = false;
  i = 0;
  do
  :: i < 3 ->
     if :: place[i].age != NONE -> place[i].age = FRESH :: else fi;
     i++
  :: else -> break
  od
}

inline diverge() {
  hasEnded = true;
  printf("replicator: DIVERGED\n");
#ifdef NEVER_DIVERGES
  /* A PVM that dies before COLO's first commit leaves nothing to take over with. */
  assert(!isProtected)
#endif
  isOver = true
}

inline commitDisk(d) {
  if :: P[d] -> committed[d] = P[d] :: else fi;
  P[d] = 0; S[d] = 0
}

inline commit() {
  if
#ifndef MUTANT_COMMIT_AFTER_LOSS
#ifdef MUTANT_NO_PROVISIONAL
  :: isLost -> diverge()
#else
#ifdef MUTANT_ALWAYS_PROVISIONAL
  :: isLost && !lossWasClean -> diverge()
#else
  :: isLost && (!wasWholeAtStop || !lossWasClean) -> diverge()
#endif
#endif
#endif
  :: else ->
     if
     :: isLost -> wasProvisional = true; isInHole = (IS_HOLE && isMissingUnseen &&
        missingSince < which)
     :: else ->
        /* I5: what commits as certain lacks nothing, and follows no provisional commit. */
        assert(!(isMissing && missingSince < which) && !wasProvisional)
     fi;
     isProtected = true;
     printf("replicator: COMMIT, lost %d, disk 0: %d -> %d, disk 1: %d -> %d\n", isLost,
        committed[0], P[0], committed[1], P[1]);
     commitDisk(0); commitDisk(1);
     commits++;
     isUnflushed[0] = false; isUnflushed[1] = false;
     wasWholeAtStop = false;
     isInDoubt = false;
     /* I2: all disks together are what the PVM's were at its STOP. */
     assert(isInHole || which == 0 ||
            (committed[0] == atStop[2*which] && committed[1] == atStop[2*which+1]));
#ifdef WITNESS_LAST_COMMIT
     assert(commits <= EPOCHS);
#endif
#ifdef WITNESS_PROVISIONAL
     assert(!wasProvisional);
#endif
#ifdef WITNESS_SETTLED_DOUBT
     assert(!wasDoubt);
#endif
  fi
}

inline failOver() {
  hasEnded = true;
  if
#ifndef MUTANT_FAILOVER_IN_DOUBT
  :: isInDoubt -> diverge()
#endif
  :: !isProtected -> diverge()
  :: else ->
#ifdef MUTANT_FAILOVER_COMMITS
     if :: P[0] -> committed[0] = P[0] :: else fi;
     if :: P[1] -> committed[1] = P[1] :: else fi;
#endif
     P[0] = 0; P[1] = 0;
     hasFailedOver = true;
     printf("replicator: FAILOVER, disk 0: %d, disk 1: %d\n", VIEW(0), VIEW(1));
     /* I3: the disk is what the SVM saw and wrote, but for a write that is still on its way. */
     assert(isInHole || svmWaits == WRITE || VIEW(0) == svmMem[0]);
     assert(isInHole || VIEW(1) == svmMem[1]);
#ifdef WITNESS_FAILOVER
     assert(commits < 2);
#endif
#ifdef WITNESS_PROVISIONAL_FAILOVER
     assert(!wasProvisional);
#endif
  fi
}

inline doubt() {
  printf("replicator: doubt\n");
#ifdef MUTANT_DOUBT_IS_COMMIT
  commit()
#else
#ifndef MUTANT_DOUBT_IS_ABORT
  isInDoubt = true;
#endif
  wasDoubt = true
#endif
}

/*
 * What a STOP that came before the answer about the first RESUME was. 0 nothing, 1 failover, 2
 * ambiguous, 3 unknown
 */
inline lookBehind() {
  if
  :: !item[0].stoppedBefore -> behind = 0
  :: else ->
     at = 1;
     do
     :: at < items && item[at].kind != IS_STOP -> at++
     :: else -> break
     od;
     if
     :: at == items || item[at].answer == 0 -> behind = 3
     :: else ->
        if
        :: item[at].answer != PAUSED -> behind = 1
        :: else ->
           isContinued = false;
           do
           :: at < items -> if :: item[at].kind == IS_RESUME -> isContinued = true :: else fi; at++
           :: else -> break
           od;
           behind = (isContinued -> 2 : 0)
        fi
     fi
  fi
}

inline judge() {
  which = item[0].epoch;
#define isInColo     (item[0].answer == 1 + MODE_SECONDARY)
#define isFailedOver (item[0].answer == 1 + MODE_LAST)
  if
  :: isFailedOver && behind == 0 -> failOver()
#ifdef MUTANT_LAST_MODE_IGNORED
  :: isFailedOver && behind != 0 -> failOver()
#endif
  :: else ->
     if
     :: (!isInColo && !isFailedOver) || item[0].atOnce ->
        printf("replicator: this RESUME was no checkpoint\n")
     :: else ->
        if
        :: isFailedOver && (behind == 2 || stoppedIn == RUNNING) -> doubt()
        :: else ->
           if
           :: stoppedIn == PAUSED -> doubt()
           :: else ->
#ifdef MUTANT_FIRST_RESUME
              if :: commits == 0 -> commits++ :: else -> commit() fi
#else
#if defined(MUTANT_LATE_COMMIT) || defined(MUTANT_GATE_PER_DISK)
              mustCommit = true
#else
              commit()
#endif
#endif
           fi
        fi
     fi
  fi;
  stoppedIn = 0;
#if !defined(MUTANT_LATE_COMMIT) && !defined(MUTANT_GATE_PER_DISK)
  which = 0
#endif
}

inline shift() {
  i = 1;
  do
  :: i < items ->
     item[i-1].kind = item[i].kind; item[i-1].answer = item[i].answer;
     item[i-1].stoppedBefore = item[i].stoppedBefore; item[i-1].atOnce = item[i].atOnce;
       item[i-1].epoch = item[i].epoch;
     i++
  :: else -> break
  od;
  items--;
  item[items].kind = 0; item[items].answer = 0; item[items].stoppedBefore = false;
    item[items].atOnce = false; item[items].epoch = 0
}

/* Works off, in order, all that can be decided by now. */
inline decide() {
  goOn = true;
  do
  :: goOn && items > 0 && !hasEnded && item[0].answer ->
     if
     :: item[0].kind == IS_STOP -> stoppedIn = item[0].answer; shift()
     :: else ->
        lookBehind();
        if
        :: behind == 3 -> goOn = false
        :: else ->
           judge();
           openGate();
           shift();
           /* What is still undecided keeps the gate closed. */
           i = 0;
           do
           :: i < items -> if :: item[i].kind == IS_RESUME && !hasEnded ->
              isClosed = true :: else fi; i++
           :: else -> break
           od
        fi
     fi
  :: else -> break
  od
}

inline answered(what, how) {
  i = 0;
  do
  :: i < items && (item[i].kind != what || item[i].answer) -> i++
  :: else -> break
  od;
  if :: i < items -> item[i].answer = how :: else fi;
  decide()
}

inline hear() {
  if
  :: hasEnded -> skip
  :: else ->
     if
     :: m == STOP ->
#ifndef MUTANT_LATE_STOP
        wasWholeAtStop = !isLost;
#endif
#ifdef MUTANT_COMMIT_AT_STOP
        if :: isProtected -> which = 0; commit() :: else fi;
#endif
        i = 0;
        do
        :: i < items -> if :: item[i].kind == IS_RESUME && !item[i].answer ->
           item[i].stoppedBefore = true :: else fi; i++
        :: else -> break
        od;
        printf("replicator: reads STOP\n");
        assert(items < ITEMS);
        item[items].kind = IS_STOP; items++;
        ask!ASK_RUN
     :: m == RESUME || m == RESUME_AT_ONCE ->
        printf("replicator: reads RESUME, gate closes\n");
#ifdef MUTANT_LATE_STOP
        wasWholeAtStop = !isLost;
#endif
#ifdef MUTANT_NO_QUERY
        isClosed = true; which = v; commit(); openGate()
#else
        assert(items < ITEMS);
        item[items].kind = IS_RESUME; item[items].atOnce = (m == RESUME_AT_ONCE);
          item[items].epoch = v; items++;
        isClosed = true;
        ask!ASK_COLO
#endif
     :: m == IS_RUN -> printf("replicator: reads run state %d\n", v); answered(IS_STOP, v)
     :: m == IS_COLO -> printf("replicator: reads COLO mode %d\n", v); answered(IS_RESUME, 1 + v)
     fi
  fi
}

/* ---- requests ---- */

inline applyPvm(d) {
  if
  :: place[d].kind == WRITE ->
     isUnflushed[d] = true;
     if
     :: !isProtected -> committed[d] = place[d].value
     :: isProtected && !hasFailedOver && !isLost ->
        P[d] = place[d].value;
        printf("replicator: PVM's write to disk %d: %d\n", d, P[d])
     :: else ->
        printf("replicator: refuses the PVM's write to disk %d\n", d);
        /* Refused; QEMU's replication filter swallows the error. */
        missing();
#ifndef MUTANT_REFUSED_FORGOTTEN
        lossWasClean = false
#endif
     fi;
     pvmWaits[d] = false
  :: place[d].kind == FLUSH ->
     if :: isProtected && !isLost -> isUnflushed[d] = false :: else fi;
     pvmWaits[d] = false
  :: else ->
     wasNoticedInCheckpoint = (runState == IN_COLO);
     if
     :: isLost -> if :: place[d].kind == END_TORN -> lossWasClean = false :: else fi
     :: else -> isLost = true; lossWasClean = (place[d].kind == END_CLEAN && !isUnflushed[0] &&
        !isUnflushed[1])
     fi;
     lostDisk[d] = true;
     printf("replicator: notices that the link of disk %d has ended, clean %d\n", d, lossWasClean)
  fi
}

inline applySvm(d) {
  if
  :: place[2].kind == WRITE -> S[d] = svmMem[d];
     printf("replicator: SVM's write to disk %d: %d\n", d, S[d])
  :: else ->
     printf("replicator: SVM reads disk %d: %d, expects %d\n", d, VIEW(d), svmMem[d]);
     /* I1 before a failover, I3 after it: the SVM reads what its memory says that it must. */
     assert(isInHole || isInDoubt || VIEW(d) == svmMem[d])
  fi;
  svmWaits = 0
}

inline apply(c) {
  if
  :: c < 2 -> applyPvm(c)
  :: else -> applySvm(place[2].value)
  fi;
  place[c].kind = 0; place[c].value = 0; place[c].age = NONE
}

inline arrived(c) {
#ifdef MUTANT_NO_GATE
  place[c].kind = m; place[c].value = v;
  apply(c)
#else
  place[c].kind = m; place[c].value = v;
#ifdef MUTANT_END_PASSES_GATE
  if :: m == END_CLEAN || m == END_TORN -> apply(c) :: else -> place[c].age = FRESH fi
#else
  place[c].age = FRESH
#endif
#endif
}

inline turnOf(c) {
  if
#ifdef MUTANT_ONE_TURN
  :: (place[c].age == AGED || place[c].age == FRESH) && !isClosedFor(c) -> apply(c)
#else
  :: place[c].age == AGED && !isClosedFor(c) -> apply(c)
#endif
  :: place[c].age == AGED && isClosedFor(c) -> place[c].age = HELD
  :: place[c].age == FRESH -> place[c].age = AGED
  :: else
  fi
}

#define turnIsDue (place[0].age == FRESH || place[0].age == AGED || \
                   place[1].age == FRESH || place[1].age == AGED || \
                   place[2].age == FRESH || place[2].age == AGED)

/* Node's event loop. Poll phase: QMP is visited once, and yields all that is there at that
 * moment; NBD sockets may be visited at any time before or after that. Check phase: the gate's
 * turn. Nothing else happens within a step, but between steps everybody else may do anything.
 */
active proctype Replicator() {
end:
  do
  :: !isOver ->
     if
     :: d_step { place[0].kind == 0 && nempty(pvmNbd0) -> pvmNbd0?m,v; arrived(0) }
     :: d_step { place[1].kind == 0 && nempty(pvmNbd1) -> pvmNbd1?m,v; arrived(1) }
     :: d_step { nempty(svmNbd) -> svmNbd?m,v; arrived(2) }
     :: d_step { !qmpWasPolled && (turnIsDue || nempty(qmp) || mustCommit) ->
        qmpWasPolled = true;
        n = len(qmp);
        do
        :: n > 0 -> qmp?m,v; hear(); n--
        :: else -> break
        od;
        n = 0 }
#ifdef MUTANT_LATE_COMMIT
     :: d_step { mustCommit -> mustCommit = false; commit() }
#endif
     :: d_step { qmpWasPolled ->
        qmpWasPolled = false;
#ifdef MUTANT_GATE_PER_DISK
        if
        :: mustCommit ->
           mustCommit = false;
           isProtected = true;
           if :: !lostDisk[0] -> commitDisk(0) :: else fi;
           if :: !lostDisk[1] -> commitDisk(1) :: else fi;
           assert(committed[0] == atStop[2*which] && committed[1] == atStop[2*which+1])
        :: else
        fi;
#endif
        turnOf(0); turnOf(1); turnOf(2) }
     fi
  od
}
