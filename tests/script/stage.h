/* A cluster in a test: a world (raft-store/store/world.h), virtual time, simulated agents, and whatever decides (set by
 * the test program as hooks).
 *
 * Generated names are random or depend on hashes of schema tables; in texts they are shown as aliases in order of
 * appearance: hashes of pod templates as H1, H2, ..., random suffixes of pods as p1, p2, ..., uids in names of volumes
 * as V1, V2, ... Scripts name objects by these aliases, too. */
#ifndef TESTS_SCRIPT_STAGE_H
#define TESTS_SCRIPT_STAGE_H

#include "base/env.h"
#include "controllers/usage.h"
#include "proto/facts/zone.h"
#include "raft-store/store/world.h"

#define STAGE_START_MS 1767225600000ll /* 2026-01-01T00:00:00Z */

struct stage_hooks {
    void *data;
    void (*observe)(void *data, const struct change *changes, unsigned count);
    /* One turn; true if anything was done. */
    bool (*turn)(void *data);
    int64_t (*next_deadline)(void *data); /* now_ms; INT64_MAX = none */
};
struct alias {
    char raw[80], shown[16];
};
/* What pods use, by their names. */
#define STAGE_CONTAINERS 4u
struct stage_usage {
    char pod[80];   /* with a * at its end: all that begin so */
    unsigned count; /* 0 = not known */
    char names[STAGE_CONTAINERS][32];
    struct usage_container containers[STAGE_CONTAINERS];
};
struct stage {
    struct env env;
    int64_t now_ms;
    int64_t skew_ms; /* of the calendar */
    struct rng rng;
    struct world *world;
    struct stage_hooks hooks;
    struct alias *aliases;
    unsigned aliases_count, hashes, pods, volumes;
    struct buf trace; /* all changes, as text */
    bool brief;       /* leave statuses and bindings out of the trace */
    struct {
        char name[64];
        int64_t since_ms;
    } silent[16];
    unsigned silent_count;
    struct zone *zones[3]; /* stage_zone */
    char bad_image[64];    /* pods with it never get ready */
    bool agents_off;
    bool agents_date;    /* pods' starts */
    bool tells_accounts; /* default ones are in the trace, and made by their controller */
    struct stage_usage usage[32];
    unsigned usage_count;
};
void stage_open(struct stage *w, uint64_t seed);
void stage_close(struct stage *w);
int stage_submit(struct stage *w, const struct txn *t, struct error *err); /* evaluate, observe */
const struct view *stage_tip(const struct stage *w);
const struct object *stage_get(const struct stage *w, enum kind_id kind, const char *ns, const char *name);

/* Objects from text: YAML documents, or spelled in short, one a line (see stage_spell.c). Fails the test on errors;
 * create or update. */
void stage_apply(struct stage *w, const char *text);
int stage_apply_yaml(struct stage *w, const char *yaml, struct error *err);
/* Merge patch in YAML on an object (spec part). */
void stage_patch(struct stage *w, enum kind_id kind, const char *ns, const char *name, const char *yaml);
/* The same of any part of an object. */
void stage_patch_part(struct stage *w, const struct object *o, const char *yaml, enum txn_part part);
void stage_status_patch(struct stage *w, const struct object *o, const char *yaml);
void stage_remove(struct stage *w, const struct object *o); /* at once */

/* The condition Ready. */
bool stage_pod_is_ready(const struct object *pod);
/* What its agent does next with the pod. True if anything was done. */
bool stage_agent_step(struct stage *w, const struct object *pod);
/* Agents: pods bound get ready, pods being deleted go, unless their node is silent. True if anything was done. */
bool stage_agents_step(struct stage *w);
void stage_silence(struct stage *w, const char *node);
void stage_hear(struct stage *w, const char *node);
int64_t stage_heartbeat_age_ms(void *data, struct str node);
/* From now on; what was said of the same pattern is forgotten, of several patterns that fit the newest counts. cpu in
 * thousandths. */
void stage_use(struct stage *w, const char *pod);
void stage_use_container(struct stage *w, const char *name, int64_t cpu_milli, int64_t memory_bytes);
/* controller_soft.usage: of pods that run, as measured this moment over 15 s. */
bool stage_usage_of(void *data, const struct object *pod, struct usage_pod *out);
/* Europe/Berlin, America/New_York and Australia/Lord_Howe, by the rules of 2026 for ever; others: NULL. */
const struct zone *stage_zone(void *data, struct str name);
/* Everything until nothing is left to do, letting time pass up to limit_ms to meet deadlines. */
void stage_run(struct stage *w, int64_t limit_ms);

/* Texts. change: "+ Pod default/x ...", "- ...", "~ ... path old -> new"; summary: one line on the state of an
 * object. */
void stage_write_change(struct stage *w, struct buf *out, const struct object *old, const struct object *new);
void stage_write_summary(struct stage *w, struct buf *out, const struct object *o);
char *stage_show(const struct stage *w, const char *text);   /* raw names to aliases; malloced */
char *stage_unshow(const struct stage *w, const char *text); /* aliases to raw names; malloced */
#endif
