/* A whole cluster from one seed: one to seven masters' cores over simulated Raft, disks and network (sim_io.h), agents,
 * clients, faults, and those who watch that the guarantees hold. One thread, virtual time; the same seed gives the same
 * course of events to the last bit.
 *
 *   nemesis.c, partition.c --crash, cut, fail--> masters.c --committed history--> ledger.c (data) --> rollout.c
 *   (workloads) members.c ----------------add, remove, replace--^ ^ ^---heartbeats, status--- agents.c
 *   clients.c, requests.c ------------writes, reads---+
 *
 * events.c fills the rings of events and judges what falls off.
 * services.c is both: Services that clients ask for, and what must hold of their addresses and endpoints.
 * storage.c is both as well: claims, volumes and pods that use them; sets.c: StatefulSets, DaemonSets and Jobs; and
 * budgets.c: disruption budgets and evictions; and quotas.c: quotas and what they count.
 * priorities.c: pods that are pushed out; gangs.c: pods that are placed together.
 * And witness.c keeps what clients saw, without any of that, for the checkers of tests/check.
 *
 * How it judges: revisions order all transactions. The ledger is the history as the first master to commit each
 * revision told it; every master must tell the same, for ever. An answer to a client is then a claim about the
 * ledger that can be checked when it is given. */
#ifndef TESTS_SIM_CLUSTER_H
#define TESTS_SIM_CLUSTER_H

#include "master/core.h"
#include "tests/check/history.h"
#include "tests/sim/sim_io.h"

#define MASTERS_MAX   8u /* at a time; ids are never used again */
#define JOBS_MAX      16u
#define AGENTS_MAX    4u
#define CLIENTS_MAX   24u
#define WATCHERS      3u
#define LAGGARDS      2u /* watchers that are slow */
#define REGISTERS     6u /* blind and conditional writes */
#define COUNTERS      2u /* each step adds one */
#define ACCOUNTS      4u /* transfers keep the sum */
#define CELLS         (REGISTERS + COUNTERS + ACCOUNTS)
#define LISTS         4u /* appended to, several at once */
#define DEPLOYMENTS   3u
#define SETTLE_ROUNDS 2u
#define BALANCE_START 100
#define NAMESPACE     "default"
/* Seeds from here on are of long courses in which masters stand still, some or all, and nothing else happens: hardly
 * anybody may be elected. */
#define STEADY_FIRST     UINT64_C(1000000000)
#define STEADY_CHANGE_MS (10 * 60 * 1000) /* one leader more in so long */

/* What differs from seed to seed, drawn first. */
struct swarm {
    unsigned masters; /* at first */
    unsigned clients, agents, think_ms, client_net_ms, client_loss_permille, client_double_permille;
    unsigned election_ms, heartbeat_ms, snapshot_entries;
    size_t history_bytes;
    unsigned node_cpu_milli;
    int64_t load_ms, fault_every_ms;
    unsigned faults;   /* kinds of them: bit per row of nemesis.c */
    unsigned async_ms; /* a worker serialises snapshots for so long; 0 = at once */
    bool sealed;       /* Secrets lie encrypted in log and snapshots */
    bool flaps;        /* of pods */
    bool workloads;    /* Deployments, or data alone */
    bool dead;         /* the first agent is gone for good when calm comes */
    /* From a stream of their own (c->more): a seed that draws none of them has the course that it had before there
     * were any. */
    bool flight_spared;    /* what was sent before the network split arrives all the same */
    bool uneven;           /* as cluster_uneven */
    unsigned loyal;        /* so many clients repeat what may have been done where they asked for it */
    bool patient;          /* timeouts adapt (raft-store/raft/pace.h) */
    bool upgrades;         /* masters of two releases (upgrade.c) */
    unsigned lag_ms;       /* between two looks of a laggard; has no effect on anybody else */
    bool services;         /* clients make Services: services.c */
    bool storage;          /* and claims, volumes, pods that use them: storage.c */
    bool sets;             /* and StatefulSets, DaemonSets, Jobs: sets.c */
    bool runs;             /* and CronJobs: runs.c */
    bool autoscalers;      /* and one grows and shrinks with its load: autoscalers.c */
    bool budgets;          /* and disruption budgets, and evict pods: budgets.c */
    bool quotas;           /* and quotas: quotas.c */
    bool priorities;       /* and pods of lower priority: priorities.c */
    bool gangs;            /* and gangs: gangs.c */
    uint64_t events_bytes; /* the bound of events, where it is reached: events.c; 0: as masters have it */
};

/* One life of a master, from start to crash. Outlives its end until libraft has let go. */
struct life {
    struct cluster *c;
    uint64_t id;
    unsigned number; /* counts over all masters */
    struct raft_io *io;
    struct replica *replica;
    struct core *core;
    struct env env;
    struct log log;
    char name[24];
    bool up, fatal, waking, closed;
    int code;              /* fatal: why */
    int64_t deadline_ms;   /* it wants a turn then, at the latest */
    uint64_t seen;         /* its history was compared up to this revision */
    uint64_t commit_index; /* as of its last turn */
    int64_t born_ms;
    const struct release *release; /* what its program can */
    struct {
        bool known;
        int64_t at_ms;
        unsigned level;
    } told[SIM_SERVERS_MAX]; /* upgrade.c: what the others said of theirs */
    int64_t asked_ms;
    bool raising;
    uint64_t agreed; /* services.c: the tip was judged at this revision */
};

/* Where a master of this id runs, if one does.
 *
 *   FREE --master_start--> RUN --removed--> GONE (lingers until end_ms)
 *                           +--disk damaged or wiped--> BROKEN: never started again; replaced under a new id
 */
enum seat { SEAT_FREE, SEAT_RUN, SEAT_GONE, SEAT_BROKEN };
struct machine {
    enum seat seat;
    struct life *life; /* NULL = down */
    int64_t skew_ms;   /* of its calendar */
    int64_t restart_ms, thaw_ms, room_ms, end_ms;
    bool newer;   /* the program of the next release is installed */
    bool knows;   /* the program that runs, or ran, has the kinds of the next release */
    bool removed; /* the operator was told so: it is no member ever again */
};

/* Who may come to a master's door; each kind can be cut off from a master. */
enum door { DOOR_CLIENTS, DOOR_AGENTS, DOORS };

/* What the operator is about to do to the membership, one after another. */
enum job_kind { JOB_ADD, JOB_REMOVE };
struct job {
    enum job_kind kind;
    uint64_t id;
    bool repair; /* of a broken seat */
};

/* A transaction's trace in the ledger. */
struct page {
    uint64_t digest;
    struct view_hash state; /* behind it */
};
struct cell_entry {
    uint64_t revision;
    int64_t number, op;
};
struct ledger {
    struct view *model; /* what all transactions so far make */
    struct page *pages; /* by revision; [0] = empty store */
    uint64_t count, cap;
    uint64_t *revision_at; /* by log index; UINT64_MAX = not seen yet */
    uint64_t indices;
    struct {
        struct cell_entry *entries;
        unsigned count, cap;
    } cells[CELLS];
    int64_t changed_ms; /* of the last page */
};

enum op_kind {
    OP_SET,        /* a register, unconditionally */
    OP_CAS,        /* a register, if it is as read */
    OP_TOUCH,      /* write what is there already: changes nothing, is answered all the same */
    OP_INCREMENT,  /* a counter, if it is as read */
    OP_TRANSFER,   /* between two accounts, if both are as read */
    OP_APPEND,     /* to one or more lists at once */
    OP_UNIQUE,     /* create a ConfigMap or a Secret of a new name */
    OP_READ,       /* a cell, at the leader */
    OP_READ_NEAR,  /* a cell, at any master */
    OP_READ_LISTS, /* several lists at one revision, at any master */
    OP_BALANCES,   /* all accounts at one revision, at any master */
    OP_DEPLOY,     /* create a Deployment */
    OP_SCALE,
    OP_IMAGE,
    OP_UNDEPLOY, /* delete a Deployment */
    OP_KILL_POD, /* delete a pod */
    OP_SERVE,    /* create or change one Service or two */
    OP_SPOIL,    /* create one past the API, with what another one has, or without an address */
    OP_UNSERVE,  /* delete a Service */
    OP_STORE,    /* something of storage: storage.c */
    OP_SETS,     /* something of StatefulSets, DaemonSets and Jobs: sets.c */
    OP_RUNS,     /* something of CronJobs: runs.c */
    OP_BUDGETS,  /* something of disruption budgets, or an eviction: budgets.c */
    OP_QUOTAS,   /* something of quotas and what they count: quotas.c */
    OP_RANK,     /* a pod of low priority: priorities.c */
    OP_GANGS,    /* a group or a member of one: gangs.c */
    OP_SETTLE,   /* good image, few replicas: before the end */
    OP_KINDS,
};
enum op_outcome { OP_PENDING, OP_DONE, OP_REFUSED, OP_GIVEN_UP };
struct op {
    enum op_kind kind;
    enum op_outcome outcome;
    unsigned cell, other;
    uint64_t if_revision, if_other;
    int64_t expected; /* who wrote what is replaced: with if_revision */
    unsigned lists;   /* bit each */
    size_t seen;      /* its place in the clients' history */
    int64_t number, other_number, amount;
    uint64_t floor;   /* what was answered before it was asked */
    uint64_t applied; /* its revision in the ledger; 0 = not (yet) */
    unsigned maybe;   /* attempts of which nobody said that they did nothing */
    int64_t replicas;
    char name[64], image[16];
    uint8_t id[TXN_ID_SIZE];
};

/* What a read was answered. */
struct reading {
    uint64_t revision, object_revision;
    int64_t number, writer;
    int64_t balances[ACCOUNTS];
    int64_t *lists[LISTS]; /* owned */
    unsigned counts[LISTS];
};

struct client {
    struct cluster *c;
    unsigned index;
    int64_t op;       /* under way; -1 = none */
    unsigned attempt; /* of the op; answers to older ones are ignored */
    unsigned tries;
    uint64_t guess; /* who leads */
    uint64_t home;  /* who may have done it, and is asked again; 0 = anybody is */
    struct {
        bool known;
        uint64_t revision, object_revision;
        int64_t number, op;
    } read[CELLS]; /* as last read */
};

struct run_record; /* agents.c: one pod on one agent */
struct agent {
    struct cluster *c;
    unsigned index;
    char name[16];
    uint64_t guess;
    uint64_t revision; /* of the newest list of its pods; older ones are ignored */
    bool silent;
    struct list pods;
};

enum phase { PHASE_BOOT, PHASE_LOAD, PHASE_CALM, PHASE_END };
struct cluster {
    struct sim sim;
    struct rng rng;      /* of the workload and the faults */
    struct rng more;     /* of what was added later: swarm_draw */
    struct rng serving;  /* of Services: services_draw */
    struct rng storing;  /* of storage: storage_draw */
    struct rng setting;  /* of StatefulSets and others: sets_draw */
    struct rng holding;  /* of quotas: quotas_draw */
    struct rng ranking;  /* of priorities: priorities_draw */
    struct rng ganging;  /* of gangs: troupes_draw */
    struct rng gossip;   /* of events: events_draw */
    struct rng sparing;  /* of budgets: budgets_draw */
    struct rng growing;  /* of autoscalers: autoscalers_draw */
    uint64_t scaled;     /* times that an autoscaler has changed how many pods are wanted */
    struct rng running;  /* of CronJobs: runs_draw */
    struct strmap begun; /* of CronJobs: UID/NAME of each Job that was ever made */
    uint64_t seed;
    struct swarm swarm;
    enum phase phase;
    bool tracing;
    uint64_t trace_hash;
    char violation[1024]; /* the first; "" = none */

    struct machine machines[SIM_SERVERS_MAX];
    uint64_t ids; /* the highest id ever used */
    unsigned lives_count, closing;
    bool shut[DOORS][SIM_SERVERS_MAX];
    uint64_t relay; /* nemesis.c: who missed the last second */
    struct {
        uint64_t id; /* nemesis.c: who is to lead again */
        unsigned tries;
        bool whole;
    } back;
    struct {
        struct job jobs[JOBS_MAX];
        unsigned count;
        bool asked; /* the first of them, and not answered yet */
        uint64_t done;
    } operator;
    struct {
        uint64_t vote_term, vote; /* the last vote it gave */
        uint64_t committed;       /* its disk had everything up to here, and it knew that this is committed */
    } given[SIM_SERVERS_MAX];     /* promises.c: what outlives a life */
    uint64_t *term_leader;        /* by term; 0 = none known */
    uint64_t terms;
    uint64_t reigns; /* how often somebody began to lead */

    struct ledger ledger;
    uint64_t answered; /* the highest revision any answer has shown */
    struct {
        uint64_t id;
        unsigned life; /* its number */
        uint64_t at;
        int64_t next_ms;             /* of a laggard */
    } watchers[WATCHERS + LAGGARDS]; /* these last */

    struct op *ops;
    int64_t ops_count, ops_cap;
    struct client clients[CLIENTS_MAX];
    unsigned level; /* upgrade.c: of the cluster */
    bool lax;       /* the newer release has no level of its own */
    struct {
        unsigned made, changed, deleted, old_changed; /* objects that the older release does not know, or not all of */
        int64_t next_ms;
        uint64_t carried; /* turns of older programs with such objects in their state */
    } novelties;
    unsigned settling; /* Deployments that were told to settle, counted over SETTLE_ROUNDS */
    struct agent agents[AGENTS_MAX];
    struct strmap ran;        /* pod uid -> the agent that ran it */
    struct strmap killed;     /* uids of pods that users deleted */
    struct strmap forced;     /* of those of sets.c, at once */
    struct hist history;      /* as clients saw it */
    int64_t calm_ms, rest_ms; /* when faults ended; how long it took from then on */
    uint64_t unjudged;        /* the checker gave up */
    struct {
        struct strmap since; /* services.c: wrong endpoints -> the commit that they were first seen in */
        uint64_t commits;    /* seen so far, from 1 */
        unsigned most;       /* commits that an endpoint was wrong in */
    } late;
    struct strmap spoiled; /* services.c: what two Services have since an OP_SPOIL */
    uint64_t spoils;       /* so often */
    uint64_t dropped;      /* events that fell off */
    uint64_t evicted;      /* pods, by budgets.c */
    uint64_t spared;       /* of them, that a budget selects */
    uint64_t faults, done, refused, given_up, unknown, reads, repeats, snapshots, restores;
};

/* ---- cluster.c ---- */
void cluster_run(struct cluster *c, uint64_t seed, bool tracing); /* c is initialised by it; violation tells */
void cluster_close(struct cluster *c);
void cluster_violate(struct cluster *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cluster_trace(struct cluster *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool cluster_chance(struct cluster *c, unsigned in); /* one in so many */
int64_t cluster_between(struct cluster *c, int64_t min, int64_t max);

/* ---- promises.c ---- */
/* One seed in four and more: master 1 waits four times as long for its followers as others for a leader. */
static inline bool cluster_uneven(const struct cluster *c)
{
    return c->seed < STEADY_FIRST && (c->seed % 4 == 3 || c->swarm.uneven);
}
/* Whom an operation was asked of, in which term, and the highest term that had had a leader then. */
struct promise {
    uint64_t master, term, led;
};
void promises_sent(void *data, uint64_t id, const struct raft_message *m); /* for struct sim */
void promises_turn(struct life *life);                                     /* behind each of its turns */
void promises_probe(struct cluster *c);                                    /* until the load ends */
struct promise promise_asked(const struct life *life);
void promise_answered(struct cluster *c, int64_t op, const struct promise *p); /* done or refused */

/* ---- masters.c ---- */
void master_start(struct cluster *c, uint64_t id, bool bootstrap);
void master_crash(struct cluster *c, uint64_t id); /* power off */
void master_stop(struct cluster *c, uint64_t id);  /* an orderly end */
void masters_turn(struct cluster *c);
void masters_touch(struct cluster *c, uint64_t id); /* something was asked of it: it gets its turn */
struct life *masters_leader(struct cluster *c);     /* of the highest term in which anybody led; NULL */
uint64_t masters_any(struct cluster *c);            /* of those that should run */
unsigned masters_running(struct cluster *c, uint64_t ids[SIM_SERVERS_MAX]); /* seats; ascending */
/* Something from outside at a master's door, after the network's delay: `run` there, or `lost`, which owns arg then. */
void masters_call(struct cluster *c, enum door door, uint64_t id, void (*run)(struct life *life, void *arg),
                  void (*lost)(void *arg), void *arg);
/* The way back, from a master that is still alive when it answers. */
void masters_reply(struct life *life, enum door door, void (*run)(void *arg), void (*lost)(void *arg), void *arg);

/* ---- members.c ---- */
void members_add(struct cluster *c);                 /* a master of a new id, by and by a voter */
void members_remove(struct cluster *c, uint64_t id); /* and it ends */
void members_replace(struct cluster *c,
                     uint64_t id); /* its disk is lost: it never runs again, another comes in its place */
bool members_may_lose(struct cluster *c, uint64_t id); /* this voter's disk, and a majority stays whole */
bool members_may_change(struct cluster *c);            /* for no reason but to change something */
void members_tick(struct cluster *c);
/* Nothing is to be done, and all that run are voters. */
bool members_settled(struct cluster *c, char why[256]);

/* ---- partition.c ---- */
void partition_strike(struct cluster *c); /* the network splits another way, or is whole again */
void partition_heal(struct cluster *c);
/* A minority (bits by id) that avoids `not_these` is cut off from the others, and nothing else is cut. Returns it. */
uint64_t partition_minority(struct cluster *c, uint64_t not_these);

/* ---- ledger.c ---- */
void ledger_open(struct cluster *c);
void ledger_close(struct cluster *c);
void ledger_follow(struct life *life); /* compare what this master has committed since last time */
void ledger_watch(struct cluster *c);
/* The cell's value at a revision; NULL before its first. */
const struct cell_entry *ledger_cell(struct cluster *c, unsigned cell, uint64_t revision);
void ledger_answer(struct cluster *c, int64_t op, const struct txn_result *result, const struct error *error);
void ledger_read(struct cluster *c, int64_t op, const struct view *v, struct reading *r);
void cell_name(unsigned cell, char out[32]);
void list_name(unsigned list, char out[32]);
/* The elements of a list; as many as max are written. */
unsigned list_elements(const struct object *o, int64_t *out, unsigned max);

/* ---- rollout.c ---- */
void rollout_judge(struct cluster *c, const struct view *before, const struct view *after, const struct history_txn *t);
/* Pods that a dead agent will never finish do not count. */
uint64_t rollout_pods(struct cluster *c);
bool rollout_settled(struct cluster *c, char why[256]);

/* ---- storage.c: only where swarm.storage ---- */
#define STORAGE_NAME_SIZE 64
void storage_draw(struct cluster *c);
bool storage_next(struct cluster *c);
void storage_first(struct txn *t); /* the classes */
/* What a Node says of it: in its metadata, in status.allocatable. */
void storage_of_node(const struct cluster *c, const char *name, char *out, size_t size);
const char *storage_of_status(const struct cluster *c);
int storage_build(struct life *life, int64_t at, struct txn *t, struct error *err); /* as op_build */
void storage_started(struct cluster *c, const struct object *pod, char volumes[2][STORAGE_NAME_SIZE]);
void storage_report(struct life *life, struct agent *agent, struct txn *t); /* volumes that the agent lets go */
void storage_judge(struct cluster *c, const struct view *after, const struct history_txn *t);
uint64_t storage_pods(const struct cluster *c, bool bound); /* its own, as rollout_pods counts */
bool storage_settled(struct cluster *c, char why[256]);
/* agents.c: the uid of a pod that runs there with this volume; NULL: none. */
const char *agent_uses(const struct agent *a, struct str volume);

/* ---- sets.c: only where swarm.sets ---- */
void sets_draw(struct cluster *c);
bool sets_next(struct cluster *c);
int sets_build(struct life *life, int64_t at, struct txn *t, struct error *err); /* as op_build */
bool sets_own(const struct object *pod);                                         /* it is a pod of one of them */
bool sets_ends(const struct object *pod);                                        /* it comes to an end by itself */
void sets_started(struct agent *by, const struct object *pod);
void sets_judge(struct cluster *c, const struct view *after, const struct history_txn *t);
uint64_t sets_pods(const struct cluster *c, bool running); /* its own, as rollout_pods counts */
bool sets_settled(struct cluster *c, char why[256]);

/* ---- quotas.c: ResourceQuotas ---- */
void quotas_draw(struct cluster *c);
bool quotas_next(struct cluster *c);
int quotas_build(struct life *life, int64_t at, struct txn *t, struct error *err); /* as op_build */
void quotas_judge(struct cluster *c, const struct view *before, const struct view *after, const struct history_txn *t);
bool quotas_settled(struct cluster *c, char why[256]);
/* agents.c: the uid of another pod of this name that runs there; NULL: none. */
const char *agent_runs_name(const struct agent *a, struct str name, struct str but_uid);

/* ---- runs.c: only where swarm.runs ---- */
void runs_draw(struct cluster *c);
bool runs_next(struct cluster *c);
int runs_build(struct life *life, int64_t at, struct txn *t, struct error *err); /* as op_build */
void runs_judge(struct cluster *c, const struct view *before, const struct view *after, const struct history_txn *t);
bool runs_settled(struct cluster *c, char why[256]);

/* ---- budgets.c: only where swarm.budgets ---- */
void budgets_draw(struct cluster *c);
bool budgets_next(struct cluster *c);
void budgets_first(struct cluster *c, struct txn *t);
int budgets_build(struct life *life, int64_t at, struct txn *t, struct error *err); /* as op_build */
/* ---- losses.c ---- */

void losses_judge(struct cluster *c, const struct view *before, const struct history_txn *t);

void budgets_judge(struct cluster *c, const struct view *before, const struct history_txn *t);
bool budgets_settled(struct cluster *c, char why[256]);

/* ---- priorities.c: only where swarm.priorities ---- */
void priorities_draw(struct cluster *c);
bool priorities_next(struct cluster *c);
int priorities_build(struct life *life, int64_t at, struct txn *t, struct error *err); /* as op_build */
void priorities_judge(struct cluster *c, const struct view *before, const struct view *after,
                      const struct history_txn *t);
uint64_t priorities_pods(const struct cluster *c, bool bound); /* its own, as rollout_pods counts */
bool priorities_settled(struct cluster *c, char why[256]);
/* What of a node's cpu and pods those that stay on it leave, of the given priority and above. */
struct left {
    int64_t milli, pods;
};
struct left room_left_on(const struct view *v, const struct object *node, int64_t from_priority);
bool room_takes(struct left l, const struct object *pod);
int64_t room_cpu_of(const struct object *pod);

/* ---- gangs.c: only where swarm.gangs ---- */
void troupes_draw(struct cluster *c);
bool troupes_next(struct cluster *c);
int troupes_build(struct life *life, int64_t at, struct txn *t, struct error *err); /* as op_build */
void troupes_judge(struct cluster *c, const struct view *after, const struct history_txn *t);
uint64_t troupes_pods(const struct cluster *c, bool bound); /* its own, as rollout_pods counts */
bool troupes_settled(struct cluster *c, char why[256]);

/* ---- autoscalers.c: only where swarm.autoscalers ---- */
void autoscalers_draw(struct cluster *c);
void autoscalers_first(struct cluster *c, struct txn *t);
void autoscalers_report(struct life *life, const char *node);
void autoscalers_judge(struct cluster *c, const struct history_txn *t);
bool autoscalers_settled(struct cluster *c, char why[256]);

/* ---- services.c: only where swarm.services ---- */
void services_draw(struct cluster *c);
bool services_next(struct cluster *c, enum op_kind *kind); /* does a client do something with Services now? */
struct object *services_config(void);                      /* the ClusterConfiguration */
/* As op_build. ERR_INVALID, ERR_FORBIDDEN as well: what it asks for is taken. */
int services_build(struct life *life, int64_t at, struct txn *t, struct error *err);
void services_judge(struct cluster *c, const struct view *after, const struct history_txn *t);
void services_turn(struct life *life);      /* behind each of a master's turns */
void services_committed(struct cluster *c); /* the ledger's state is one that an entry of the log left */
bool services_settled(struct cluster *c, char why[256]);

/* ---- witness.c ---- */
#define WITNESS_NONE SIZE_MAX
void witness_open(struct cluster *c);
void witness_close(struct cluster *c);
void witness_ask(struct cluster *c, int64_t op, unsigned client);
void witness_answer(struct cluster *c, int64_t op, bool done, const struct reading *r); /* r: of reads that are done */
void witness_judge(struct cluster *c);

/* ---- agents.c ---- */
void agents_start(struct cluster *c);
void agents_close(struct cluster *c);
bool agents_settled(struct cluster *c, char why[256]);

/* ---- clients.c ---- */
void clients_start(struct cluster *c);
bool clients_idle(const struct cluster *c);

/* ---- requests.c: what operations are as transactions ---- */
/* What the client does next, appended to c->ops. */
int64_t op_next(struct client *client);
/* On the leader: from the tip, as its API would. ERR_NOT_FOUND if what is to be changed is not there. */
int op_build(struct life *life, int64_t at, struct txn *t, struct error *err);
/* A document as it is let in; ERR_NOT_FOUND if there is one of its name. */
int op_make(const struct view *tip, const char *text, struct txn *t, struct error *err);
/* In another namespace than NAMESPACE; ns NULL: of a cluster-wide kind. */
int op_make_in(const struct view *tip, const char *ns, const char *text, struct txn *t, struct error *err);
struct object *config_map_new(const char *name, int64_t number, int64_t op);
struct object *list_new(const char *name, struct str elements, int64_t op);
bool op_reads(enum op_kind kind);
struct object *yaml_object(const char *text);

/* ---- nemesis.c ---- */
void swarm_draw(struct cluster *c);
/* A source of its own, for what was added later: what the seed draws elsewhere stays as it was. */
struct rng rng_apart(uint64_t seed, uint64_t salt);
void nemesis_start(struct cluster *c);
void nemesis_heal(struct cluster *c);
static inline bool cluster_steady(const struct cluster *c)
{
    return c->seed >= STEADY_FIRST;
}
bool nemesis_has(const struct cluster *c, const char *fault); /* this seed's faults are of such kinds */

/* ---- events.c ---- */
void events_draw(struct cluster *c);
void events_turn(struct life *life);
void events_judge(struct cluster *c, const struct view *before, const struct view *after, const struct history_txn *t);
bool events_hold(const struct view *v); /* by age there is what there is by name */

/* ---- upgrade.c: only where swarm.upgrades ---- */
void upgrade_draw(struct cluster *c); /* behind swarm_draw */
const struct release *upgrade_release(const struct cluster *c, uint64_t id);
void upgrade_enter(void *data, uint64_t id); /* what comes next happens at this master: for struct sim */
void upgrade_judge(struct cluster *c, const struct history_txn *t);
bool upgrade_turn(struct life *life); /* false: it is too old for the cluster and ends */
void upgrade_start(struct cluster *c);
void upgrade_heal(struct cluster *c); /* all get the newer program, also who is yet to come */
bool upgrade_settled(struct cluster *c, char why[256]);

#endif
