/* One container of a pod: from its image to its end and back. Pure but for what it asks of struct pod_ops
 * (agent/pod/pod.h).
 *
 *   IDLE -> PULLING -> STARTING -> POST_START -> RUNNING -> PRE_STOP -> TERMINATING -> KILLING -> (exit)
 *             |  ^        |  ^                      |          each of the last four may end by itself
 *             v  |        v  |                   (exit)
 *       PULL_ERROR -> PULL_BACKOFF               decide: DONE, or again from PULLING at once, or CRASH_BACKOFF first
 *                    CONFIG_WAIT, START_BACKOFF
 *
 * The table in container.c is the whole machine: state x event -> next state and action. What is not in it does not
 * happen. What makes the events: container_go and container_stop (container.c), answers (container_answers.c).
 *
 * Invariants
 *  1. At most one attempt runs. The next one is started only after the end of the former was seen.
 *  2. `attempt` counts starts (also failed ones of the program), never goes back, and is the restartCount of the
 *     status.
 *  3. After a final stop the container is never started again.
 *  4. Answers to probes and hooks of a former attempt (other `token`) change nothing.
 *
 * Source: Kubernetes' container states and reasons, restart policy, lifecycle hooks; CrashLoopBackOff as the
 * kubelet's. */
#ifndef AGENT_POD_CONTAINER_H
#define AGENT_POD_CONTAINER_H

#include "agent/pod/podspec.h"
#include "agent/pod/probe.h"
#include "agent/util/backoff.h"

struct pod;

enum container_state {
    CONTAINER_IDLE,          /* its turn has not come */
    CONTAINER_PULLING,       /* the image is being ensured */
    CONTAINER_PULL_ERROR,    /* ErrImagePull is shown for a moment */
    CONTAINER_PULL_BACKOFF,  /* ImagePullBackOff */
    CONTAINER_CONFIG_WAIT,   /* a ConfigMap, Secret or field is missing */
    CONTAINER_STARTING,      /* the runtime works */
    CONTAINER_START_BACKOFF, /* it could not be created */
    CONTAINER_POST_START,    /* runs, hook in flight */
    CONTAINER_RUNNING,
    CONTAINER_PRE_STOP,      /* runs, hook in flight */
    CONTAINER_TERMINATING,   /* stop signal sent */
    CONTAINER_KILLING,       /* SIGKILL sent */
    CONTAINER_EXITED,        /* passing through: decide */
    CONTAINER_CRASH_BACKOFF, /* CrashLoopBackOff */
    CONTAINER_DONE,          /* ended, and stays so */
    CONTAINER_STATES,
};
enum container_event {
    CONTAINER_EV_GO, /* its turn */
    CONTAINER_EV_PULLED,
    CONTAINER_EV_PULL_FAILED,
    CONTAINER_EV_CONFIG_BAD,
    CONTAINER_EV_STARTED,
    CONTAINER_EV_STARTED_HOOK, /* ... and it has a postStart hook */
    CONTAINER_EV_START_FAILED, /* nothing was created */
    CONTAINER_EV_HOOK_DONE,
    CONTAINER_EV_HOOK_FAILED,
    CONTAINER_EV_STOP,
    CONTAINER_EV_STOP_HOOK, /* it runs, and has a preStop hook */
    CONTAINER_EV_STOP_NOW,  /* it runs, and gets no grace */
    CONTAINER_EV_EXIT,
    CONTAINER_EV_TIMER,
    CONTAINER_EV_REFS,   /* ConfigMaps or Secrets changed */
    CONTAINER_EV_IMAGES, /* images were loaded */
    CONTAINER_EV_RETRY,  /* decisions after an exit */
    CONTAINER_EV_BACKOFF,
    CONTAINER_EV_FINISH,
    CONTAINER_EV_FOUND_RUNNING, /* by a restarted agent */
    CONTAINER_EV_FOUND_DONE,
    CONTAINER_EVENTS,
};

/* How an attempt ended. */
struct container_end {
    bool set;
    unsigned attempt;
    int exit_code, signal;
    char reason[32];
    char *message;                   /* malloc()ed or NULL */
    int64_t started_ms, finished_ms; /* wall */
};

#define CONTAINER_PULL_ERROR_MS   3000 /* how long ErrImagePull is shown before ImagePullBackOff */
#define CONTAINER_REKILL_MS       5000
#define CONTAINER_MIN_GRACE_MS    2000  /* after a preStop hook that used up the grace period */
#define CONTAINER_CONFIG_RETRY_MS 20000 /* what is wrong with its volumes may not announce its end */
#define CONTAINER_REFS_GRACE_MS   2000  /* the stream of ConfigMaps may lag behind that of pods */

struct container {
    struct pod *pod;
    const struct podspec_container *spec; /* replaced together with the pod's */
    enum container_state state;
    unsigned attempt; /* of the newest container; meaningless before has_run */
    bool has_run;
    bool started, ready; /* as in the status */
    bool stop_final;     /* the pod ends */
    bool failed_by_us;   /* killed for a failed probe or hook: counts as a failure whatever its exit code */
    bool definition_changed;
    char reason[40];           /* waiting */
    char *message;             /* waiting; malloc()ed or NULL */
    int pull_step;             /* of a pull, as the message has it (agent/images.c) */
    struct container_end end;  /* of the newest attempt, once it has ended */
    struct container_end last; /* of the one before */
    char *image_id;            /* "sha256:..." of the running image; malloc()ed or NULL */
    int64_t started_wall_ms, started_ms;
    int64_t deadline_ms; /* of the state's timer; INT64_MAX = none */
    int64_t stop_by_ms;  /* when SIGKILL is due */
    const char *stop_why;
    struct backoff crash, pull;
    struct probe probes[PODSPEC_PROBES];
    unsigned token; /* which attempt a probe or hook belongs to */
    void *image;    /* for the implementation of pod_ops */
};

void container_init(struct container *c, struct pod *pod, const struct podspec_container *spec);
void container_close(struct container *c);

/* ---- What the pod does ---- */
void container_go(struct container *c);
/* why: literal text for the journal. final: never again. grace_ms <= 0: SIGKILL at once. May be repeated with less
 * grace. */
void container_stop(struct container *c, bool final, int64_t grace_ms, const char *why);
void container_refs_changed(struct container *c);
void container_images_changed(struct container *c); /* no need to wait out a pause */
void container_tick(struct container *c, int64_t now_ms);
int64_t container_deadline(const struct container *c);
/* From before the agent's restart. alive: its sandbox is there too; otherwise the attempt is only history. was_ready,
 * was_started: by the last status sent. */
void container_adopt(struct container *c, const struct runtime_status *st, bool alive, bool was_started,
                     bool was_ready);
void container_adopt_last(struct container *c, const struct runtime_status *st);
void container_adopt_done(struct container *c); /* the store says that its pod has finished */

/* ---- Answers of pod_ops; each ends in pod_settle ---- */
/* reason: "" = the image is there; otherwise as image_result. */
void container_on_image(struct container *c, const char *reason, const struct error *error);
void container_on_started(struct container *c, const struct runtime_started *r);
/* Ignored if it is not the newest attempt. */
void container_on_exit(struct container *c, const struct runtime_status *st);
/* How far its first pull is, in words for the status; step is the caller's (pull_step). While it is being pulled. */
void container_on_pull_step(struct container *c, int step, char *give_text);
void container_on_hook(struct container *c, unsigned token, bool ok, const char *message);
void container_on_probe(struct container *c, int which, unsigned token, bool success, const char *message);

/* ---- Questions ---- */
bool container_is_running(const struct container *c);         /* a process may be there */
static inline bool container_is_up(const struct container *c) /* it has started and not ended */
{
    return c->has_run && !c->end.set;
}
bool container_succeeded(const struct container *c); /* DONE with exit code 0 */
unsigned container_next_attempt(const struct container *c);
/* The runtime's name of that attempt. */
void container_runtime_id(const struct container *c, unsigned attempt, char out[RUNTIME_ID_MAX]);
const char *container_state_name(enum container_state s);
/* Is it started again after an end with this exit code? Sidecars always are, other init containers only after
 * failures, ephemeral ones never. */
bool container_restarts(enum podspec_restart policy, const struct podspec_container *spec, int exit_code,
                        bool failed_by_us);

#endif
