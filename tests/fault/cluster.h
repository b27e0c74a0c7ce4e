/* A cluster of real master processes: on a fabric, each in a network namespace of its own, or on loopback; in
 * directories below one.
 *
 * The processes end with this one (PR_SET_PDEATHSIG, and as root the end of its pid namespace), whatever becomes of it.
 * Errors of setting up are fatal (fault_die). Members are numbered from 0 and called m1, m2, ... in files and
 * messages. Main thread only, but for `target`. */
#ifndef TESTS_FAULT_CLUSTER_H
#define TESTS_FAULT_CLUSTER_H

#include <sys/types.h>

#include "client/api/api.h"
#include "tests/fault/disk.h"
#include "tests/fault/fabric.h"
#include "tests/fault/shim.h"

#define CLUSTER_MEMBERS_MAX 9u /* also those that come and go */

struct cluster_member {
    pid_t pid; /* 0 = down */
    bool joined, frozen;
    bool gone;    /* taken out of the cluster: not started, not asked */
    bool may_end; /* its process may end by itself now: its disk is being hurt */
    uint16_t port;
    char address[64];
    struct disk disk;
    struct shim_control *shim; /* mapped; NULL: none */
    unsigned starts;
    int64_t id; /* as last heard; 0 = not yet */
};
struct cluster {
    struct arena arena;
    char dir[512], program[512], shim[512]; /* shim "": none */
    bool isolated;                          /* on a fabric */
    struct fabric fabric;
    enum disk_type disk_type;
    struct cluster_member members[CLUSTER_MEMBERS_MAX];
    unsigned count;              /* members that have been made, also those gone */
    struct config_target target; /* as administrator, all that were there at cluster_up */
    struct api *api;             /* short deadline, for asking */
};
struct cluster_config {
    const char *dir;     /* exists */
    const char *program; /* reeve-master */
    const char *shim;    /* NULL = none */
    unsigned masters;
    bool isolated, relayed;
    enum disk_type disk_type;
};
/* All voters, one leading. */
void cluster_up(struct cluster *c, const struct cluster_config *config);
void cluster_down(struct cluster *c); /* kills what is left */

/* ---- Processes ---- */

const char *cluster_member_dir(struct cluster *c, unsigned i);
void cluster_start(struct cluster *c, unsigned i);               /* nothing if it runs */
void cluster_kill(struct cluster *c, unsigned i);                /* SIGKILL, and waits for its end */
void cluster_freeze(struct cluster *c, unsigned i, bool frozen); /* SIGSTOP, SIGCONT */
/* SIGTERM, and waits up to limit_ms; the exit status, or -1 if it had to be killed. */
int cluster_stop(struct cluster *c, unsigned i, int64_t limit_ms);
/* A member whose process has ended without being asked to: its number from 1, and how; 0 if none. It is down then. */
unsigned cluster_lost(struct cluster *c, int *status);
/* One more member: joins and is started, in place of the one with id `replaces` (0: of nobody). False: it could not
 * join. */
bool cluster_add(struct cluster *c, int64_t replaces, unsigned *index);

/* A process with its output in log, in the namespace of a port of the fabric if there is one. env NULL = ours. */
pid_t cluster_spawn(struct cluster *c, unsigned port, const char *log, const char *const *argv, char *const *env);
/* Waits up to limit_ms; false if it still runs. */
bool cluster_wait_end(pid_t pid, int64_t limit_ms, int *status);
/* A token to join by, good for so many newcomers, in the cluster's arena; NULL: none was given. */
const char *cluster_token(struct cluster *c, const char *role, int64_t uses, int64_t replaces);
/* What the shim does to member i. Only in a cluster with one. */
volatile struct shim_control *cluster_shim(struct cluster *c, unsigned i);

/* ---- Asking ---- */

struct cluster_view {
    int64_t id, leader, term, revision, applied;
    unsigned voters, members;
    char hash[40]; /* of the state; "" if it does not tell */
};
/* What member i says about itself and the cluster. False if it does not answer. */
bool cluster_ask(struct cluster *c, unsigned i, struct cluster_view *out);
/* The leader's place in members; -1 if none says that it leads. Of two, the one with the later term. */
int cluster_leader(struct cluster *c);
bool cluster_member_in(const struct cluster *c, unsigned i); /* joined and not gone */
unsigned cluster_size(const struct cluster *c);              /* of those */

#endif
