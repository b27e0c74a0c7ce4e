/* A cluster in a test: a store on its tip, virtual time, simulated agents, and whatever decides (set by the test program as hooks).
 *
 * Generated names are random or depend on hashes of schema tables; in texts they are shown as aliases in order of appearance: hashes of
 * pod templates as H1, H2, ..., random suffixes of pods as p1, p2, ... Scripts name objects by these aliases, too. */
#ifndef TESTS_SCRIPT_WORLD_H
#define TESTS_SCRIPT_WORLD_H

#include "base/env.h"
#include "raft-store/store/store.h"

#define WORLD_START_MS 1767225600000ll /* 2026-01-01T00:00:00Z */

struct world_hooks {
    void *data;
    void (*observe)(void *data, const struct change *changes, unsigned count);
    /* One turn; true if anything was done. */
    bool (*turn)(void *data);
    int64_t (*next_deadline)(void *data); /* now_ms; INT64_MAX = none */
};
struct alias {
    char raw[80], shown[16];
};
struct world {
    struct env env;
    int64_t now_ms;
    int64_t skew_ms; /* of the calendar */
    struct rng rng;
    struct store *store;
    uint64_t index;
    struct world_hooks hooks;
    struct alias *aliases;
    unsigned aliases_count, hashes, pods;
    struct buf trace; /* all changes, as text */
    bool brief;       /* leave statuses and bindings out of the trace */
    struct {
        char name[64];
        int64_t since_ms;
    } silent[16];
    unsigned silent_count;
    char bad_image[64]; /* pods with it never get ready */
    bool agents_off;
};
void world_open(struct world *w, uint64_t seed);
void world_close(struct world *w);
int world_submit(struct world *w, const struct txn *t, struct error *err); /* evaluate, observe, apply */
const struct view *world_tip(const struct world *w);
const struct object *world_get(const struct world *w, enum kind_id kind, const char *ns, const char *name);

/* Objects from text: YAML documents, or spelled in short, one a line (see world_spell.c). Fails the test on errors; create or update. */
void world_apply(struct world *w, const char *text);
int world_apply_yaml(struct world *w, const char *yaml, struct error *err);
/* Merge patch in YAML on an object (spec part). */
void world_patch(struct world *w, enum kind_id kind, const char *ns, const char *name, const char *yaml);
void world_status_patch(struct world *w, const struct object *o, const char *yaml);
void world_remove(struct world *w, const struct object *o); /* at once */

/* Agents: pods bound get ready, pods being deleted go, unless their node is silent. True if anything was done. */
bool world_agents_step(struct world *w);
void world_silence(struct world *w, const char *node);
void world_hear(struct world *w, const char *node);
int64_t world_heartbeat_age_ms(void *data, struct str node);
/* Everything until nothing is left to do, letting time pass up to limit_ms to meet deadlines. */
void world_run(struct world *w, int64_t limit_ms);

/* Texts. change: "+ Pod default/x ...", "- ...", "~ ... path old -> new"; summary: one line on the state of an object. */
void world_write_change(struct world *w, struct buf *out, const struct object *old, const struct object *new);
void world_write_summary(struct world *w, struct buf *out, const struct object *o);
char *world_show(const struct world *w, const char *text);   /* raw names to aliases; malloced */
char *world_unshow(const struct world *w, const char *text); /* aliases to raw names; malloced */
#endif
