/* The protocol of a COLO pair and its replicator, as a model for spin. README.md explains it;
 * model/check.mjs runs it.
 *
 * This file: what all processes share, the channels, and the ghosts (variables that only assertions
 * read). environment.pml: what QEMU, the network and people do. replicator.pml: what this project's
 * code does about it.
 *
 * A block's content is a number. 0: none. 1: what was there before seeding. The PVM writes 2 *
 * epoch + 2, the SVM 2 * epoch + 3, so that no two writes of an epoch are alike, whoever made them,
 * and an old one is told from a new.
 */
#ifndef EPOCHS
#define EPOCHS 2   /* checkpoints after COLO's start */
#endif
#ifndef DISKS
#define DISKS 2    /* that the guests use */
#endif
#ifndef CRASH
#define CRASH 0    /* the PVM dies, once, anywhere, and its links with it */
#endif
#ifndef CUT
#define CUT 0      /* a link of the PVM's NBD breaks while the PVM lives: how often */
#endif
#ifndef USER
#define USER 0     /* stop and cont on the SVM by somebody: how many commands */
#endif
#ifndef FAILOVER
/* x-colo-lost-heartbeat on the SVM, once: 1 at any time; 2 once a link or the PVM is gone */
#define FAILOVER 0
#endif

mtype = { WRITE, FLUSH, READ, END_CLEAN, END_TORN };            /* on NBD sockets */
/* on the QMP socket: events, answers */
mtype = { STOP, RESUME, RESUME_AT_ONCE, IS_RUN, IS_COLO };
mtype = { ASK_RUN, ASK_COLO };                                  /* questions to QMP */
/* COLO's own channel between the VMs */
mtype = { START, READY, REQUEST, REPLY, STATE, LOADED };

/* run state of the SVM, as query-status tells it */
#define RUNNING 1
#define PAUSED  2
#define IN_COLO 3
/*
 * COLO mode of the SVM, as query-colo-status tells it: none, secondary, or none with last-mode
 * secondary
 */
#define MODE_NONE      0
#define MODE_SECONDARY 1
#define MODE_LAST      2

chan pvmNbd0 = [2] of { mtype, byte };   /* PVM's disk 0 to the replicator */
chan pvmNbd1 = [2] of { mtype, byte };
chan svmNbd  = [1] of { mtype, byte };   /* SVM's disks; it has one request on the way at a time */
chan qmp     = [9] of { mtype, byte };   /* events and answers of the SVM's QEMU */
chan ask     = [9] of { mtype };         /* questions to it */
chan toSvm   = [1] of { mtype, byte, byte };
chan toPvm   = [1] of { mtype };

bool pvmLives = true;
bool pvmWaits[2];            /* a request of the PVM is not answered yet */
bool isCut[2];               /* what the PVM sends on this disk's link goes nowhere */
mtype svmWaits;              /* the SVM's request that is not answered yet; 0: none */
byte runState = PAUSED;
byte mode = MODE_NONE;

/* What the guests believe of their disks: it is in their memory, and a checkpoint copies it. */
byte pvmMem[2] = 1;
byte svmMem[2] = 1;

/* Ghosts */
/* the PVM's disks as they were when its state was sent, by the SVM's epoch and disk */
byte atStop[2 * EPOCHS + 4];
bool isMissing;              /* a write of the PVM is not in the replica and never will be */
byte missingSince;           /* ... the first one in this epoch of the PVM */
bool isMissingUnseen;        /* ... and the replicator was never shown it */
/* the SVM was stopped for a checkpoint when the replicator saw the end of a link */
bool wasNoticedInCheckpoint;
#ifdef KNOWN_HOLE
#define IS_HOLE false
#else
#define IS_HOLE wasNoticedInCheckpoint
#endif
/* the known hole: a provisional commit without a write that nobody saw */
bool isInHole;
bool isOver;                 /* the replica has diverged: it serves nobody any more */
bool hasFailedOver;
bool wasDoubt;
bool wasProvisional;
bool stopIsKnown = true;     /* the question about the user's last stop was answered */
byte commits;

byte pvmEpoch;               /* 0: seeding, all that COLO's start copies */
inline missing() {
  if :: !isMissing -> isMissing = true; missingSince = pvmEpoch :: else fi
}

#include "replicator.pml"
#include "environment.pml"
