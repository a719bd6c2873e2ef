/* What the two daemons decide. Each rule reads only what its side knows: its own record and VM, the
 * last beat of the other, its fence. A side makes its record durable before it acts, and decides
 * again afterwards.
 */
#define word(x)   record[x].word
#define term(x)   record[x].term
#define mayAct(x) (isUp[x] && !isWriting[x])

/* ---- beats ---- */
#define mayBeat(x) (isUp[x] && isUp[1 - x] && !isCut && empty(beats[1 - x]))
/* Equal beats are sent once: another one would tell nothing. */
#define isNews(x) (!known[1 - x].isHeard || known[1 - x].word != word(x) || \
  known[1 - x].term != term(x) || known[1 - x].isForced != record[x].isForced || \
  known[1 - x].isGone != isGone(x))

inline beat(x, gone) {
  beats[1 - x]!word(x),term(x),record[x].isForced,gone; tellsOfTwo[1 - x] = areTwo
}

inline hear(x) {
  beats[x]?known[x].word,known[x].term,known[x].isForced,known[x].isGone;
  known[x].isHeard = true;
  printf("%c: hears %e, term %d, forced %d, gone %d\n", 65 + x, known[x].word, known[x].term,
    known[x].isForced, known[x].isGone);
  hasHeardTwo[x] = hasHeardTwo[x] || tellsOfTwo[x];
  tellsOfTwo[x] = false
}

/* W1: once both have heard of each other, two do not run any more. */
inline judgeContact() { assert(!(areTwo && hasHeardTwo[A] && hasHeardTwo[B])) }

#ifdef MUTANT_STUCK_LINK
/* A connection that broke is not dialled again while TCP waits. */
#define isSilent(x) (!known[x].isHeard)
#else
#define isSilent(x) (!known[x].isHeard && (isCut || !isUp[1 - x]))
#endif

/*
 * `alone` against `taken-over`: the higher term is right, then the forced one, then the secondary.
 * Of two sides that compare, exactly one finds itself beaten.
 */
#define isHigher(x) (known[x].term > term(x))
#define isEqual(x)  (known[x].term == term(x))
#define isBeaten(x) (isHigher(x) || (isEqual(x) && (x == A -> \
  !(record[x].isForced && !known[x].isForced) : known[x].isForced && !record[x].isForced)))

#define canAskFence(x) (mayAct(x) && fencesLeft[x] > 0 && (!fence[x] || fence[x] == FAILED))
inline askFence(x) {
  fencesLeft[x]--; fence[x] = ASKED; printf("%c: asks for its fence\n", 65 + x)
}

/* ---- the primary ---- */
#if defined(MUTANT_RECEIVED_IS_TOLD)
#define isTold known[A].isHeard
#else
#define isTold (known[A].isHeard && (known[A].word == OUTDATED || known[A].word == NONE))
#endif
#define isEntitled (word(A) == ALONE || word(A) == OPENING)
#if defined(MUTANT_RECEIVED_IS_TOLD)
#define mustYield false
#elif defined(MUTANT_ONLY_COLO_COMPARES)
#define mustYield (vm[A] == IN_COLO)
#elif defined(MUTANT_LEAVING_RISES)
#define mustYield (!isEntitled && word(A) != LEAVING || isBeaten(A))
#else
/* `leaving` entitles to nothing, so it yields to each takeover. */
#define mustYield (!isEntitled || isBeaten(A))
#endif
#ifdef MUTANT_HELD_FENCES
#define hasLived !isGone(A)
#else
/* This QEMU is the one that was protected: nobody can have proven its end. */
#define hasLived (vm[A] == IN_COLO)
#endif
#ifdef MUTANT_MEMORY_ONLY
/* A guest that is in no COLO is called unprotected, and no more is said of it. */
#define mayLeave (hasLived && word(A) == PROTECTED)
#else
#define mayLeave (word(A) == PROTECTED && !isGone(A))
#endif

proctype Primary() {
  byte forces = FORCES, protects = PROTECTS;
end:
  do
  :: atomic { isWriting[A] && isUp[A] -> makeDurable(A) }
  :: atomic { mayBeat(A) && isNews(A) -> beat(A, isGone(A)) }
#ifdef MUTANT_FORWARDER
  /* A forwarder has ended, and is taken for QEMU. */
  :: atomic { mayBeat(A) && !isGone(A) && !known[B].isGone -> beat(A, true) }
#endif
  :: atomic { known[A].isHeard && (isCut || !isUp[B]) && empty(beats[A]) -> forget(A) }

  :: atomic { mayAct(A) && nempty(beats[A]) -> hear(A);
       if
       :: known[A].word == TAKEN_OVER && mustYield ->
#ifdef WITNESS_PRIMARY_STOPS
          assert(!isRunning(A));
#endif
          stops(A); isOpening = false;
          if
          :: word(A) != OUTDATED -> write(A, OUTDATED, term(A), false); raise(A, known[A].term)
          :: else
          fi
       :: else
       fi;
       judgeContact() }
  :: atomic { mayAct(A) && word(A) == OUTDATED && isRunning(A) -> stops(A) }

  /*
   * It lets its secondary go, for any reason: a loss, an operator, a QEMU that is new. The record
   * comes first: `alone` if the secondary is known to be outdated already, else `leaving` ...
   */
  :: atomic { mayAct(A) && mayLeave && !isTold ->
       printf("A: lets go\n");
#ifdef MUTANT_RECORD_AFTER
       if :: hasLived && !FENCE_A -> runs(A) :: else fi;
#endif
#ifdef MUTANT_NO_LEAVING
       write(A, ALONE, term(A) + 1, false)
#else
       write(A, LEAVING, term(A) + 1, false)
#endif
     }
  :: atomic { mayAct(A) && mayLeave && isTold ->
       printf("A: lets go\n"); write(A, ALONE, term(A) + 1, false) }
#ifdef MUTANT_LEAVING_RISES
  :: atomic { mayAct(A) && word(A) == LEAVING && !isGone(A) && term(A) < 4 ->
       write(A, LEAVING, term(A) + 1, false) }
#endif
#ifdef MUTANT_ALONE_TAKEN_BACK
  /* A daemon that starts finds COLO, and begins again to let go. */
  :: atomic { mayAct(A) && word(A) == ALONE && vm[A] == IN_COLO && term(A) < 4 ->
       write(A, LEAVING, term(A) + 1, false) }
#endif
  /* ... then the secondary says that it is, or is fenced, or was never promised to be ... */
  :: atomic { canAskFence(A) && FENCE_A && isSilent(A) && hasLived &&
       (word(A) == LEAVING || (IS_NO_LEAVING && word(A) == ALONE)) ->
       /* W4 */
       assert(isRunning(A) && (vm[B] != RUNS || isExcused));
       askFence(A) }
  :: atomic { mayAct(A) && word(A) == LEAVING && !isGone(A) &&
       (isTold || (hasLived && (fence[A] == DONE || !FENCE_A))) ->
       write(A, ALONE, term(A), false) }
  /* ... then its guest goes on without it. */
  :: atomic { mayAct(A) && isEntitled && (vm[A] == PAUSED || (vm[A] == IN_COLO && !isOpening &&
       (!IS_NO_LEAVING || isTold || fence[A] == DONE))) ->
       /* W2, the other way round */
       assert(!isBehind[A] || isExcused);
#ifdef WITNESS_NEW_QEMU
       assert(vm[A] != PAUSED || isOverruled[A]);
#endif
       printf("A: goes on alone\n"); runs(A) }
#ifdef AUTOSTART
  /* It is found running, and may have been given up for dead. */
  :: atomic { mayAct(A) && !isEntitled && vm[A] == RUNS -> stops(A) }
#endif

#if PROTECTS > 0
  :: atomic { protects > 0 && mayAct(A) && word(A) == ALONE && vm[A] == RUNS && known[A].isHeard &&
       known[A].word == NONE -> protects--; isOpening = true; printf("A: opens a term\n");
       write(A, OPENING, term(A) + 1, false); raise(A, known[A].term + 1) }
  /* The disks are copied, COLO runs, the first commit is done. */
  :: atomic { mayAct(A) && isOpening && vm[A] == RUNS && !isCut && mayAct(B) &&
       word(B) == NONE && hasEnded(A) && hasEnded(B) ->
       printf("A: in COLO again\n");
       vm[A] = IN_COLO; vm[B] = IN_COLO; isInStep = true; isFit = true; isBehind[A] = false;
       isBehind[B] = false; isOverruled[A] = false; isOverruled[B] = false; fence[A] = 0;
       fence[B] = 0 }
  :: atomic { mayAct(A) && isOpening && vm[A] == IN_COLO && isInStep && known[A].isHeard &&
       known[A].word == PROTECTED && isEqual(A) ->
       isOpening = false; write(A, PROTECTED, term(A), false) }
  /* It fails, or is found half done: the secondary was never told that this term protects. */
  :: atomic { mayAct(A) && word(A) == OPENING && !isGone(A) ->
       printf("A: protect has failed\n"); isOpening = false; write(A, ALONE, term(A) + 1, false) }
#endif
#if FORCES > 0
  :: atomic { forces > 0 && mayAct(A) && !isGone(A) -> forces--;
       printf("A: an operator forces it\n"); isOverruled[A] = true; isOpening = false;
       write(A, ALONE, term(A) + 1, true); raise(A, known[A].term + 1) }
#endif
  od
}

/* ---- the secondary ---- */
#ifdef MUTANT_UNHEARD_IS_FIT
#define hasHeardSo true
#else
/* The primary has said that it is protected in this term, too, and nothing else since. */
#define hasHeardSo (known[B].word == PROTECTED && isEqual(B))
#endif
#define isWhole (word(B) == PROTECTED && hasHeardSo && vm[B] == IN_COLO)
#ifdef MUTANT_UNFIT_FENCES
#define mayFence (word(B) == PROTECTED && hasHeardSo)
#else
#define mayFence (isWhole && isFit)
#endif
#ifdef MUTANT_PERIOD_IGNORED
#define looksDead isSilent(B)
#else
#define looksDead (isSilent(B) && !isInStep)
#endif
#ifdef MUTANT_UNPROMISED_FENCE
#define isPromised true
#else
/* The primary has said that it lets nobody go without an answer, a fence or --force. */
#define isPromised FENCE_A
#endif
#define hasWord (known[B].isHeard && known[B].isGone && known[B].word == PROTECTED && isEqual(B))
#ifdef MUTANT_STALE_DECISION
/* What was decided when the fence was asked for is done when it has ended. */
#define mayTakeOver (vm[B] == IN_COLO && isFit && word(B) != TAKEN_OVER)
#else
#define mayTakeOver (isWhole && isFit)
#endif
#ifdef MUTANT_ONLY_PRIMARY_STOPS
#define isWrong (word(B) == PROTECTED && isHigher(B))
#else
#define isWrong (word(B) == PROTECTED -> isHigher(B) : \
  word(B) == TAKEN_OVER && isBeaten(B) && (IS_LEAVING_RISES || known[B].word == ALONE))
#endif

inline takesOver() {
  printf("B: takes over\n");
  /* W2 */
  assert(!isBehind[B] || record[B].isForced || isBehindByOthers);
#ifdef WITNESS_BY_WORD
  assert(fence[B] == DONE || isOverruled[B]);
#endif
#ifdef WITNESS_BY_FENCE
  assert(fence[B] != DONE || isOverruled[B]);
#endif
#ifdef WITNESS_AGAIN
  assert(term(B) < 4 || isOverruled[B]);
#endif
  runs(B)
}

proctype Secondary() {
  byte forces = FORCES;
end:
  do
  :: atomic { isWriting[B] && isUp[B] -> makeDurable(B) }
  :: atomic { mayBeat(B) && isNews(B) -> beat(B, isGone(B)) }
  /* What was said last is kept. */
  :: atomic { known[B].isHeard && (isCut || !isUp[A]) && empty(beats[B]) ->
       known[B].isHeard = false; known[B].isGone = false }

  :: atomic { mayAct(B) && nempty(beats[B]) -> hear(B);
       if
       :: (known[B].word == ALONE || known[B].word == LEAVING) && isWrong ->
          if
          :: vm[B] == RUNS -> stops(B)
#ifdef WITNESS_SECONDARY_STOPS
             ; assert(false)
#endif
          :: else
          fi;
          write(B, OUTDATED, known[B].term, false)
       :: known[B].word == OPENING && word(B) == NONE && isHigher(B) && vm[B] == IN_COLO &&
          isInStep -> write(B, PROTECTED, known[B].term, false)
       :: else
       fi;
       judgeContact() }

  /* failover: automatic */
  :: atomic { canAskFence(B) && FENCE_B && mayFence && isPromised && looksDead ->
       /* W4, and nobody fences a primary that is well */
       assert(isWhole && isFit);
       assert(!(isRunning(A) && (isInStep || (isUp[A] && !isCut))));
       askFence(B) }
  /* gannet failover */
  :: atomic { canAskFence(B) && FENCE_B && mayFence && isPromised && (isSilent(B) || !isInStep) ->
       assert(isWhole && isFit);
       askFence(B) }
  :: atomic { mayAct(B) && mayTakeOver && (hasWord || fence[B] == DONE) ->
       printf("B: decides to take over\n");
#ifdef MUTANT_ACT_BEFORE_DURABLE
       takesOver();
#endif
       write(B, TAKEN_OVER, term(B) + 1, false) }
#if FORCES > 0
  :: atomic { forces > 0 && mayAct(B) && vm[B] == IN_COLO && word(B) != TAKEN_OVER -> forces--;
       printf("B: an operator forces it\n"); isOverruled[B] = true;
       write(B, TAKEN_OVER, term(B) + 2, true) }
#endif
  :: atomic { mayAct(B) && word(B) == TAKEN_OVER && vm[B] == IN_COLO -> takesOver() }
  /* A QEMU that is new, on the disks that it has taken over. */
  :: atomic { mayAct(B) && word(B) == TAKEN_OVER && vm[B] == PAUSED -> runs(B) }
  od
}
