/* One cell of the matrix: a cluster, clients at work, a fault that comes and goes, and a judgement.
 *
 *   set up --> work --> (fault starts --> holds --> stops --> rest)* --> heal --> work goes on until it recovers
 *     --> clients end --> what is there at the end is read --> all masters equal --> masters end --> judgement
 *
 * Threads: the main thread owns the cluster and the nemesis; each client and watcher is a thread that records its
 * own history. */
#ifndef TESTS_FAULT_TRIAL_H
#define TESTS_FAULT_TRIAL_H

#include <pthread.h>

#include "base/env.h"
#include "tests/check/check.h"
#include "tests/fault/agents.h"
#include "tests/fault/cluster.h"

#define TRIAL_CLIENTS_MAX 16u
#define TRIAL_NOTES_MAX   40u

struct trial;
struct client;

/* ---- Faults ---- */

/* What a fault needs from the cell. */
enum need {
    NEED_FABRIC = 1,    /* members on machines of their own: root */
    NEED_DISK = 2,      /* file systems of their own: root */
    NEED_SHIM = 4,      /* tests/fault/shim.c preloaded */
    NEED_SPARE = 8,     /* a damaged or emptied master comes back by itself */
    NEED_MAJORITY = 16, /* makes no sense with one master */
    NEED_AGENTS = 32,   /* a workload with nodes */
    NEED_RELAY = 64,    /* cables that delay (with NEED_FABRIC) */
    NEED_BLKIO = 128    /* devices that can be slowed down (with NEED_DISK) */
};
struct nemesis {
    const char *name, *about;
    unsigned needs;
    int64_t hold_min_ms, hold_max_ms; /* from start to stop */
    /* Main thread. start may find nothing to do (no leader now); stop undoes all that start did, also when called
     * twice. */
    void (*start)(struct trial *t);
    void (*stop)(struct trial *t);
    const char *best; /* the workload that it is hardest for; NULL = any */
    /* Nobody ends and nothing gets lost: the leader may change once in ten minutes, and every request is answered
     * within its deadline. */
    bool steady;
};
const struct nemesis *nemesis_find(const char *name);
const struct nemesis *nemesis_at(unsigned i); /* NULL behind the last */

/* ---- Work ---- */

struct workload {
    const char *name, *about;
    unsigned clients;
    int64_t pause_ms;                /* between two turns of a client; it rests up to twice as long */
    void (*set_up)(struct trial *t); /* main thread, before there are faults; may be NULL */
    void (*turn)(struct client *c);  /* one thing to do, recorded */
    void (*finish)(struct trial *t); /* main thread, all healed: the reads at the end; may be NULL */
    /* With what a write may be refused; anything else that is the caller's fault is wrong: these requests have none.
     * 0 at the end. */
    int refusals[4];
    check_fn *check; /* of the history; NULL: there is none, finish has said what is wrong */
};
const struct workload *workload_find(const char *name);
const struct workload *workload_at(unsigned i);

struct client {
    pthread_t thread;
    struct trial *trial;
    unsigned index;
    int64_t process; /* in the history; a new one after an unknown outcome */
    int64_t counter; /* for values that are unique in the history */
    struct api *api;
    struct config_target target;
    struct hist hist;
    struct rng rng;
    struct error error; /* of the last call that went wrong */
    unsigned wrong;     /* refusals that nothing can explain */
    char wrong_text[200];
    void *own; /* of the workload */
};

/* ---- The cell ---- */

struct trial_config {
    const struct nemesis *nemesis;
    const struct workload *workload;
    unsigned masters;
    int64_t seconds;
    uint64_t seed;
    const char *dir, *program, *agent, *shim;
    bool root, talk; /* talk: what happens goes to stdout as well as to the cell's file */
};
/* Shared with the process that waits for the cell. */
struct trial_result {
    bool finished, passed;
    unsigned faults;
    uint64_t ok, failed, unknown; /* operations */
    int64_t recovery_ms,
        settle_ms;  /* from healing to the first write; from the end of work to all masters equal; -1 = never */
    char note[300]; /* the first thing that is wrong */
};
struct trial {
    struct trial_config config;
    struct trial_result *result;
    struct cluster cluster;
    struct agents *agents; /* of the workload; NULL: none */
    struct rng rng;
    bool stop; /* clients end; atomic */
    struct client clients[TRIAL_CLIENTS_MAX];
    struct client *main;           /* for set_up and finish: patient, process 0 */
    struct hist hist;              /* all, when the clients have ended */
    unsigned victims;              /* of the nemesis: a bit per member */
    const struct nemesis *current; /* of "mixed": what is on now */
    int64_t start_us;
    bool healing; /* faults are over: a process that ends now has ended by itself */
    FILE *events;
    void *own; /* of the workload; lives as long as the process */
};
/* Runs it. The caller's process ends soon afterwards. */
void trial_run(const struct trial_config *config, struct trial_result *result);

/* A line with the time into CELL/events (and stdout): what the nemesis does. */
void trial_say(struct trial *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Something is wrong: the cell has failed. */
void trial_fail(struct trial *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Waits in the main thread, looking after the processes. False: the trial is over meanwhile. */
void trial_wait(struct trial *t, int64_t ms);

/* ---- For workloads (client.c) ---- */

/* A client with a thread of its own; deadline of its calls. */
void client_open(struct client *c, struct trial *t, unsigned index, int64_t deadline_ms);
void client_close(struct client *c);
void client_start(struct client *c);     /* its thread takes turns until the trial says stop */
void client_join(struct client *c);      /* and its history goes into the trial's */
int64_t client_unique(struct client *c); /* a number that no other client gives */
/* A write; reply may be closed by the caller at any outcome. Conflict and the like are HIST_FAIL with *code set. */
enum hist_outcome client_write(struct client *c, struct arena *a, const char *method, struct value *params,
                               struct api_reply *reply, int *code);
/* A refusal (c->error) that the workload does not expect is noted: the trial fails by it. client_write does this by
 * itself. */
void client_judge_refusal(struct client *c, int code);
/* Completes op, with c->error's text if it is not done; after an unknown outcome the client goes on as another
 * process. */
void client_done(struct client *c, size_t op, enum hist_outcome outcome);
/* ConfigMap `name` in "default" with data {v: text} and a label set=`label`; revision 0 = no precondition. */
struct value *client_object(struct arena *a, const char *name, const char *label, const char *text, uint64_t revision);
/* {object: ...} */
struct value *client_object_params(struct arena *a, struct value *object);
/* data.v of an object; borrowed. */
struct str client_text(const struct object *o);
int64_t client_number(const struct object *o);
/* All with the label, at one revision. 0 or an error's code. */
int client_list(struct client *c, const char *label, struct api_list *out);
struct value *client_op(struct arena *a, struct value *ops, const char *op, struct value *object); /* of a txn */
#endif
