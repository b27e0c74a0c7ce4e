#include "tests/fault/rollout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strmap.h"
#include "tests/fault/kit.h"

#define LINES_MAX 8u

static void complain(struct buf *out, unsigned *found, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void complain(struct buf *out, unsigned *found, const char *fmt, ...)
{
    char line[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if ((*found)++ < LINES_MAX) {
        buf_printf(out, "%s\n", line);
    }
}

/* ---- Events ---- */

void rollout_events_add(struct rollout_events *l, uint64_t revision, bool deleted, const struct object *o)
{
    if (l->count == l->cap) {
        l->cap = MAX(2 * l->cap, 256u);
        l->items = xrealloc(l->items, l->cap * sizeof *l->items);
    }
    l->items[l->count++] = (struct rollout_event){.revision = revision, .deleted = deleted, .object = object_ref(o)};
}

void rollout_events_close(struct rollout_events *l)
{
    for (size_t i = 0; i < l->count; i++) {
        object_unref(l->items[i].object);
    }
    free(l->items);
    *l = (struct rollout_events){0};
}

static int by_revision(const void *pa, const void *pb)
{
    const struct rollout_event *a = pa, *b = pb;
    int c = (a->revision > b->revision) - (a->revision < b->revision);
    return c != 0 ? c : (a->place > b->place) - (a->place < b->place);
}

/* A list at the beginning, or after a watch has lost its place, comes in the order of names. One object's events
 * stay in order. */
static void sort(struct rollout_events *l)
{
    for (size_t i = 0; i < l->count; i++) {
        l->items[i].place = i;
    }
    qsort(l->items, l->count, sizeof *l->items, by_revision);
}

/* ---- Promises 1 and 2 ---- */

struct app { /* a Deployment */
    char name[64];
    int64_t replicas, before; /* before: what it was, as long as the controller may not have seen the change */
    bool scaling;             /* the change was not seen before this revision */
};
struct set { /* a ReplicaSet */
    char name[80];
    struct app *app;
    int64_t wants, wanted; /* now, and before this revision */
    int64_t pods, ready;   /* not ending */
    unsigned added, taken; /* in this revision; taken: Ready ones */
};
struct pod {
    bool ready, ending;
    struct set *set;
};
struct state {
    struct strmap apps, sets, pods; /* by name, uid, uid */
    struct buf *out;
    unsigned found;
};

static struct app *app_of(struct state *s, struct str name)
{
    struct app *a = strmap_get(&s->apps, name);
    if (a == NULL) {
        a = xcalloc(1, sizeof *a);
        snprintf(a->name, sizeof a->name, "%.*s", STR_ARG(name));
        strmap_set(&s->apps, name, a);
    }
    return a;
}

static struct set *set_of(struct state *s, struct str uid)
{
    struct set *r = strmap_get(&s->sets, uid);
    if (r == NULL) {
        r = xcalloc(1, sizeof *r);
        strmap_set(&s->sets, uid, r);
    }
    return r;
}

static bool is_ready(const struct object *o)
{
    for (struct mp_iter c = mp_iter(mp_path(object_mp(o), "status.conditions")); mp_next(&c);) {
        if (str_is(mp_str(mp_get(c.value, "type")), "Ready")) {
            return str_is(mp_str(mp_get(c.value, "status")), "True");
        }
    }
    return false;
}

static void take_deployment(struct state *s, const struct rollout_event *e)
{
    struct app *a = app_of(s, e->object->name);
    int64_t replicas = mp_int(mp_path(object_mp(e->object), "spec.replicas"), 1);
    if (replicas != a->replicas) {
        a->before = a->replicas;
        a->replicas = replicas;
        a->scaling = true;
    }
    if (mp_int(mp_path(object_mp(e->object), "status.observedGeneration"), 0) >= e->object->generation) {
        a->before = a->replicas;
    }
}

static void take_set(struct state *s, const struct rollout_event *e)
{
    struct str app = object_label(e->object, "app");
    if (app.n > 0) {
        struct set *r = set_of(s, e->object->uid);
        snprintf(r->name, sizeof r->name, "%.*s", STR_ARG(e->object->name));
        r->app = app_of(s, app);
        r->wants = e->deleted ? 0 : mp_int(mp_path(object_mp(e->object), "spec.replicas"), 1);
    }
}

static void count_pod(struct pod *p, int sign)
{
    if (!p->ending) {
        p->set->pods += sign;
        p->set->ready += p->ready ? sign : 0;
    }
}

static void take_pod(struct state *s, const struct rollout_event *e)
{
    struct pod *p = strmap_get(&s->pods, e->object->uid);
    if (e->object->owner_uid.n == 0) {
        return;
    }
    if (p == NULL) {
        p = xcalloc(1, sizeof *p);
        p->set = set_of(s, e->object->owner_uid);
        p->ending = true; /* until it is counted below */
        strmap_set(&s->pods, e->object->uid, p);
        p->set->added += !e->deleted && !e->object->deleting;
    }
    bool stood = !p->ending && p->ready;
    count_pod(p, -1);
    p->ending = e->deleted || e->object->deleting;
    p->ready = !p->ending && is_ready(e->object);
    count_pod(p, 1);
    p->set->taken += stood && p->ending;
}

/* What the ReplicaSets want together, and what of it serves. */
static void judge_app(struct state *s, struct app *a, uint64_t revision)
{
    const struct strmap_entry *e;
    int64_t wants = 0, serving = 0;
    bool rose = false, fell = false;
    for (size_t i = 0; (e = strmap_next(&s->sets, &i)) != NULL;) {
        const struct set *r = e->value;
        if (r->app == a) {
            wants += r->wants;
            serving += MIN(r->wants, r->ready);
            rose |= r->wants > r->wanted;
            fell |= MIN(r->wants, r->ready) < MIN(r->wanted, r->ready); /* giving up what does not serve is free */
        }
    }
    int64_t most = MAX(a->replicas, a->before), least = MIN(a->replicas, a->before);
    if (rose && wants > most + ROLLOUT_SURGE) {
        complain(s->out, &s->found, "revision %llu: the ReplicaSets of %s want %lld pods; %lld + %d are allowed",
                 (unsigned long long)revision, a->name, (long long)wants, (long long)most, ROLLOUT_SURGE);
    }
    if (fell && !a->scaling && serving < least - ROLLOUT_UNAVAILABLE) {
        complain(s->out, &s->found, "revision %llu: the ReplicaSets of %s keep %lld Ready pods; %lld - %d must stay",
                 (unsigned long long)revision, a->name, (long long)serving, (long long)least, ROLLOUT_UNAVAILABLE);
    }
}

/* A ReplicaSet makes pods up to what it wants, and takes Ready ones away only above that. */
static void judge_set(struct state *s, struct set *r, uint64_t revision)
{
    if (r->added > 0 && r->pods > MAX(r->wants, r->wanted)) {
        complain(s->out, &s->found, "revision %llu: %s has %lld pods, a new one among them, and wants %lld",
                 (unsigned long long)revision, r->name, (long long)r->pods, (long long)r->wants);
    }
    if (r->taken > 0 && r->pods < MIN(r->wants, r->wanted)) {
        complain(s->out, &s->found, "revision %llu: %s lost %u Ready pods, has %lld and wants %lld",
                 (unsigned long long)revision, r->name, r->taken, (long long)r->pods, (long long)r->wants);
    }
}

/* The next begins. */
static void turn_page(struct state *s)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&s->sets, &i)) != NULL;) {
        struct set *r = e->value;
        r->wanted = r->wants;
        r->added = r->taken = 0;
    }
    for (size_t i = 0; (e = strmap_next(&s->apps, &i)) != NULL;) {
        struct app *a = e->value;
        a->scaling = a->before != a->replicas;
    }
}

static void judge_revision(struct state *s, uint64_t revision)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&s->apps, &i)) != NULL;) {
        judge_app(s, e->value, revision);
    }
    for (size_t i = 0; (e = strmap_next(&s->sets, &i)) != NULL;) {
        judge_set(s, e->value, revision);
    }
    turn_page(s);
}

static void free_values(struct strmap *m)
{
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(m, &i)) != NULL;) {
        free(e->value);
    }
    strmap_close(m);
}

unsigned rollout_judge(struct rollout_events *told, unsigned count, struct buf *out)
{
    static void (*const takers[KIND_DEPLOYMENT + 1])(struct state *, const struct rollout_event *) = {
        [KIND_DEPLOYMENT] = take_deployment,
        [KIND_REPLICASET] = take_set,
        [KIND_POD] = take_pod,
    };
    struct state s = {.out = out};
    struct rollout_events all = {0};
    strmap_init(&s.apps);
    strmap_init(&s.sets);
    strmap_init(&s.pods);
    for (unsigned l = 0; l < count; l++) {
        for (size_t i = 0; i < told[l].count; i++) {
            rollout_events_add(&all, told[l].items[i].revision, told[l].items[i].deleted, told[l].items[i].object);
        }
    }
    sort(&all);
    for (size_t i = 0; i < all.count; i++) {
        takers[all.items[i].object->kind->id](&s, &all.items[i]);
        /* A transaction as a whole: what stands between its parts was never there. */
        if (i + 1 == all.count || all.items[i + 1].revision != all.items[i].revision) {
            judge_revision(&s, all.items[i].revision);
        }
    }
    rollout_events_close(&all);
    free_values(&s.apps);
    free_values(&s.sets);
    free_values(&s.pods);
    return s.found;
}

void rollout_print(const struct rollout_events *events, struct buf *out)
{
    for (size_t i = 0; i < events->count; i++) {
        const struct rollout_event *e = &events->items[i];
        struct mp m = object_mp(e->object);
        buf_printf(out, "%6llu %s %.*s", (unsigned long long)e->revision, e->object->kind->name,
                   STR_ARG(e->object->name));
        if (e->object->kind->id == KIND_POD) {
            buf_printf(out, "%s%s%s\n", e->deleted ? " gone" : "", e->object->deleting ? " ending" : "",
                       is_ready(e->object) ? " Ready" : "");
        } else {
            buf_printf(out, " replicas %lld, generation %lld, observed %lld, has %lld, updated %lld, available %lld\n",
                       (long long)mp_int(mp_path(m, "spec.replicas"), 1), (long long)e->object->generation,
                       (long long)mp_int(mp_path(m, "status.observedGeneration"), 0),
                       (long long)mp_int(mp_path(m, "status.replicas"), 0),
                       (long long)mp_int(mp_path(m, "status.updatedReplicas"), 0),
                       (long long)mp_int(mp_path(m, "status.availableReplicas"), 0));
        }
    }
}

/* ---- Promise 3 ---- */

struct ran {
    unsigned node, starts, attempt;
    bool running, lost; /* lost: forgotten together with the number of its attempts */
};

/* The text of a member of a journal's line; lines are flat and the agent's own, so this is enough. */
static bool member(const char *line, const char *key, char *out, size_t size)
{
    char want[40];
    snprintf(want, sizeof want, "\"%s\":\"", key);
    const char *p = strstr(line, want);
    if (p == NULL) {
        return false;
    }
    p += strlen(want);
    snprintf(out, size, "%.*s", (int)strcspn(p, "\""), p);
    return true;
}

static void take_line(const char *line, unsigned node, struct strmap *all, struct buf *out, unsigned *found)
{
    char event[16], uid[64], pod[80];
    if (strcmp(line, ROLLOUT_LOST) == 0) {
        const struct strmap_entry *e;
        for (size_t i = 0; (e = strmap_next(all, &i)) != NULL;) {
            struct ran *r = e->value;
            r->lost = r->lost || r->node == node;
            r->running = r->running && !r->lost;
        }
        return;
    }
    const char *attempt_at = strstr(line, "\"attempt\":");
    unsigned attempt = attempt_at == NULL ? 0 : (unsigned)strtoul(attempt_at + 10, NULL, 10);
    if (!member(line, "event", event, sizeof event) || !member(line, "uid", uid, sizeof uid) ||
        !member(line, "pod", pod, sizeof pod)) {
        return;
    }
    struct ran *r = strmap_get(all, str_of(uid));
    if (strcmp(event, "start") == 0) {
        if (r == NULL) {
            r = xcalloc(1, sizeof *r);
            r->node = node;
            strmap_set(all, str_of(uid), r);
        } else if (r->node != node) {
            complain(out, found, "pod %s (%s) ran on node %u and on node %u", pod, uid, r->node, node);
        } else if (r->running || (!r->lost && attempt <= r->attempt)) {
            complain(out, found, "pod %s (%s) was started twice on node %u", pod, uid, node);
        }
        r->starts++;
        r->attempt = attempt;
        r->running = true;
        r->lost = false;
    } else if (r != NULL && (strcmp(event, "exit") == 0 || strcmp(event, "gone") == 0)) {
        r->running = false;
    }
}

unsigned rollout_judge_journals(const char *const *paths, unsigned count, const struct api_list *living,
                                struct buf *out)
{
    unsigned found = 0, running = 0;
    struct strmap all;
    strmap_init(&all);
    for (unsigned i = 0; i < count; i++) {
        char line[4096];
        FILE *f = fopen(paths[i], "re");
        if (f == NULL) {
            complain(out, &found, "%s: cannot be read", paths[i]);
            continue;
        }
        while (fgets(line, sizeof line, f) != NULL) {
            take_line(line, i, &all, out, &found);
        }
        fclose(f);
    }
    const struct strmap_entry *e;
    for (size_t i = 0; (e = strmap_next(&all, &i)) != NULL;) {
        running += ((struct ran *)e->value)->running;
    }
    for (unsigned i = 0; i < living->count; i++) {
        const struct ran *r = strmap_get(&all, living->items[i]->uid);
        if (r == NULL || !r->running) {
            complain(out, &found, "pod %.*s is in the store, but runs nowhere", STR_ARG(living->items[i]->name));
        }
    }
    if (running != living->count) {
        complain(out, &found, "%u pods run, the store has %u", running, living->count);
    }
    free_values(&all);
    return found;
}
