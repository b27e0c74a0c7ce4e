#include "master/front/turns.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/mem.h"
#include "master/auth/principal.h"
#include "proto/net/net.h"

#define FORWARDED_LANES (TURN_SORTS + 1u) /* one for each sort, and one for what needs room */
#define LATE_BUCKETS    64u               /* of TURNS_LATE_MS each; who may wait longer is looked at once in a round */

struct turns {
    bool (*has_room)(void *data, enum turn_room room);
    void *data;
    struct strmap subjects;
    struct list ready[TURN_CLASSES]; /* struct subject.link */
    struct list held;                /* struct subject.held_link */
    struct list late[LATE_BUCKETS];  /* struct work.late_link, by late_ms */
    struct list due;                 /* the same, of those whose time is over */
    int64_t ticked_ms;
    enum turn_class next;
    unsigned waiting;           /* pieces of all, held ones too */
    uint64_t used_ns, lists_ns; /* of this turn of the loop; of that, by lists */
    unsigned share_us;          /* of lists in a turn */
    struct turns_stats stats;
};

struct turns *turns_new(bool (*has_room)(void *data, enum turn_room room), void *data)
{
    struct turns *t = xcalloc(1, sizeof *t);
    t->has_room = has_room;
    t->data = data;
    t->share_us = TURNS_SHARE_LEAST_US;
    strmap_init(&t->subjects);
    list_init(&t->held);
    list_init(&t->due);
    for (unsigned i = 0; i < TURN_CLASSES; i++) {
        list_init(&t->ready[i]);
    }
    for (unsigned i = 0; i < LATE_BUCKETS; i++) {
        list_init(&t->late[i]);
    }
    return t;
}

void turns_free(struct turns *t)
{
    if (t == NULL) {
        return;
    }
    size_t cursor = 0;
    while (t->waiting > 0) {
        struct subject *s = turns_next(t, &cursor);
        assert(s != NULL);
        if (s->waiting > 0) {
            s->refs++; /* the last one dropped takes its subject's row away */
            for (unsigned i = 0; i < FORWARDED_LANES; i++) {
                lane_drop(t, &s->forwarded[i]);
            }
            subject_unref(t, s);
            cursor = 0;
        }
    }
    strmap_close(&t->subjects);
    free(t);
}

/* ---- Subjects and lanes ---- */

static const struct {
    enum turn_class class;
    const char *word;
} classes[] = {
    [PKI_ROLE_NONE] = {TURN_STRANGERS, "stranger"}, [PKI_ROLE_MASTER] = {TURN_MASTERS, "master"},
    [PKI_ROLE_NODE] = {TURN_NODES, "node"},         [PKI_ROLE_ADMIN] = {TURN_ADMINS, "user"},
    [PKI_ROLE_USER] = {TURN_USERS, "client"},
};

void lane_init(struct lane *lane, struct subject *s)
{
    list_init(&lane->link);
    list_init(&lane->going);
    list_init(&lane->works);
    lane->subject = s;
    lane->aside = false;
    lane->watches = 0;
}

struct subject *subject_get(struct turns *t, const struct pki_identity *who, const char *addr)
{
    char network[NET_NETWORK_MAX] = "";
    char name[PKI_NAME_MAX + NET_NETWORK_MAX + 16];
    assert((size_t)who->role < ARRAY_SIZE(classes));
    if (who->role == PKI_ROLE_NONE) {
        net_addr_network(addr == NULL ? "" : addr, network);
    }
    snprintf(name, sizeof name, "%s \"%s\"", classes[who->role].word, who->role == PKI_ROLE_NONE ? network : who->name);
    struct subject *s = strmap_get(&t->subjects, str_of(name));
    if (s == NULL) {
        s = xcalloc(1, sizeof *s);
        s->class = classes[who->role].class;
        s->name = xstrdup(name);
        list_init(&s->link);
        list_init(&s->held_link);
        list_init(&s->lanes);
        list_init(&s->held);
        for (unsigned i = 0; i < TURN_SORTS; i++) {
            list_init(&s->queued[i]);
        }
        strmap_set(&t->subjects, str_of(name), s);
    }
    s->refs++;
    return s;
}

void subject_unref(struct turns *t, struct subject *s)
{
    assert(s->refs > 0);
    if (--s->refs > 0) {
        return;
    }
    assert(s->waiting == 0 && s->watches == 0 && list_empty(&s->link) && list_empty(&s->held_link));
    strmap_remove(&t->subjects, str_of(s->name));
    principal_unref(s->principal);
    free(s->forwarded);
    free(s->name);
    free(s);
}

struct lane *subject_lane(struct subject *s, const struct work *w)
{
    if (s->forwarded == NULL) {
        s->forwarded = xcalloc(FORWARDED_LANES, sizeof *s->forwarded);
        for (unsigned i = 0; i < FORWARDED_LANES; i++) {
            lane_init(&s->forwarded[i], s);
        }
    }
    return &s->forwarded[w->room != TURN_ROOM_NONE ? TURN_SORTS : (unsigned)w->sort];
}

/* ---- In and out of the queues ---- */

/* A lane with work is in its subject's ring, and a subject with such lanes in its class's. */
static void make_ready(struct turns *t, struct lane *lane)
{
    struct subject *s = lane->subject;
    if (list_empty(&lane->link)) {
        list_push_back(&s->lanes, &lane->link);
    }
    if (list_empty(&s->link) && !list_empty(&s->lanes)) {
        list_push_back(&t->ready[s->class], &s->link);
    }
}

static bool holds_lanes(const struct subject *s)
{
    bool queued = false;
    for (unsigned i = 0; i < TURN_SORTS; i++) {
        queued = queued || !list_empty(&s->queued[i]);
    }
    return queued || !list_empty(&s->held);
}

bool lane_waits(const struct lane *lane)
{
    return !list_empty(&lane->going) || !list_empty(&lane->works);
}

static struct work *first_of(const struct lane *lane)
{
    return LIST_ENTRY((list_empty(&lane->going) ? &lane->works : &lane->going)->next, struct work, link);
}

static void make_ready_again(struct turns *t, struct lane *lane)
{
    list_remove(&lane->link);
    lane->aside = false;
    make_ready(t, lane);
}

/* A lane that stands aside has another first work: perhaps this one may go. */
static void look_again(struct turns *t, struct lane *lane)
{
    make_ready_again(t, lane);
    if (!holds_lanes(lane->subject)) {
        list_remove(&lane->subject->held_link);
    }
}

static struct list *bucket_of(struct turns *t, int64_t ms)
{
    return &t->late[(uint64_t)ms / TURNS_LATE_MS % LATE_BUCKETS];
}

/* What has begun is not behind what waits for its place. */
static void enter(struct turns *t, struct lane *lane, struct work *w, bool front)
{
    assert(w->lane == NULL);
    w->lane = lane;
    (front ? list_push_front : list_push_back)(w->begun ? &lane->going : &lane->works, &w->link);
    lane->subject->waiting++;
    lane->subject->refs++;
    t->waiting++;
    t->stats.waiting_most = MAX(t->stats.waiting_most, lane->subject->waiting);
    if (w->late_ms != 0) {
        assert(w->late != NULL);
        list_push_back(bucket_of(t, MAX(w->late_ms, t->ticked_ms)), &w->late_link);
    }
    if (lane->aside && first_of(lane) == w) {
        look_again(t, lane);
    } else {
        make_ready(t, lane);
    }
}

/* The subject stays: its reference goes to the caller. */
static struct subject *leave(struct turns *t, struct work *w)
{
    struct lane *lane = w->lane;
    struct subject *s = lane->subject;
    list_remove(&w->link);
    if (w->late_ms != 0) {
        list_remove(&w->late_link);
    }
    w->lane = NULL;
    s->waiting--;
    t->waiting--;
    if (!lane_waits(lane)) {
        list_remove(&lane->link);
        lane->aside = false;
        if (list_empty(&s->lanes)) {
            list_remove(&s->link);
        }
        if (!holds_lanes(s)) {
            list_remove(&s->held_link);
        }
    } else if (lane->aside) {
        look_again(t, lane);
    }
    return s;
}

void turns_forget(struct turns *t, struct work *w)
{
    if (w->lane != NULL) {
        subject_unref(t, leave(t, w));
    }
}

void lane_drop(struct turns *t, struct lane *lane)
{
    struct subject *s = lane->subject;
    s->refs++; /* the lane may be in its row (forwarded), which the last work would take away */
    while (lane_waits(lane)) {
        struct work *w = first_of(lane);
        subject_unref(t, leave(t, w));
        t->stats.dropped++;
        w->drop(w);
    }
    subject_unref(t, s);
}

static bool has_room(struct turns *t, const struct work *w)
{
    return w->room == TURN_ROOM_NONE || t->has_room(t->data, w->room);
}

unsigned turns_most(enum turn_sort sort)
{
    static const unsigned most[] = {
#define X(name, field, most, word) [TURN_##name] = most,
        TURN_SORTS_LIST(X)
#undef X
    };
    return most[sort];
}

static bool has_place(const struct subject *s, const struct work *w)
{
    return !w->begins || s->begun[w->sort] < turns_most(w->sort);
}

struct subject *turns_begin(struct turns *t, struct subject *s, enum turn_sort sort)
{
    s->begun[sort]++;
    s->refs++;
    t->stats.begun[sort]++;
    return s;
}

/* Who waits for the place gets it in the next turn (release). */
void turns_end(struct turns *t, struct subject *s, enum turn_sort sort)
{
    assert(s->begun[sort] > 0 && t->stats.begun[sort] > 0);
    s->begun[sort]--;
    t->stats.begun[sort]--;
    subject_unref(t, s);
}

/* Returns its time, in ns. */
static int64_t do_work(struct turns *t, struct work *w)
{
    bool list = w->sort == TURN_LIST; /* it may be gone afterwards */
    uint64_t start = uv_hrtime();
    w->run(w);
    uint64_t took_ns = uv_hrtime() - start;
    t->lists_ns += list ? took_ns : 0;
    t->stats.longest_us = MAX(t->stats.longest_us, took_ns / 1000);
    return (int64_t)took_ns;
}

static bool has_time(const struct turns *t, uint64_t used_ns)
{
    return used_ns < TURNS_BUDGET_US * 1000u && t->lists_ns < t->share_us * 1000u;
}

bool turns_do(struct turns *t, struct lane *lane, struct work *w)
{
    if (t->waiting == 0 && has_time(t, t->used_ns) && has_room(t, w) && has_place(lane->subject, w)) {
        t->used_ns += (uint64_t)do_work(t, w);
        return true;
    }
    if (!w->begun && lane->subject->waiting >= TURNS_WAITING_MAX) { /* what has begun has its bounds */
        t->stats.refused++;
        return false;
    }
    t->stats.waited++;
    enter(t, lane, w, false);
    return true;
}

void turns_go_on(struct turns *t, struct lane *lane, struct work *w)
{
    enter(t, lane, w, true);
}

/* ---- The turn ---- */

/* No more lanes than there are places, however many wait: whoever has opened thousands of connections is not asked for
 * each of them in every turn. */
static void release_queued(struct turns *t, struct subject *s)
{
    for (unsigned sort = 0; sort < TURN_SORTS; sort++) {
        for (unsigned n = s->begun[sort]; n < turns_most(sort) && !list_empty(&s->queued[sort]); n++) {
            make_ready_again(t, LIST_ENTRY(s->queued[sort].next, struct lane, link));
        }
    }
}

/* Writes that waited for room are looked at again in each turn: it is a few comparisons each, and the lanes are as
 * many as connections. */
static void release(struct turns *t)
{
    LIST_FOR_SAFE(it, &t->held)
    {
        struct subject *s = LIST_ENTRY(it, struct subject, held_link);
        LIST_FOR_SAFE(at, &s->held)
        {
            struct lane *lane = LIST_ENTRY(at, struct lane, link);
            if (has_room(t, first_of(lane))) {
                make_ready_again(t, lane);
            }
        }
        release_queued(t, s);
        if (!holds_lanes(s)) {
            list_remove(&s->held_link);
        }
    }
}

/* Its next work may not be done now: it stands aside. */
static void hold(struct turns *t, struct lane *lane, const struct work *w)
{
    struct subject *s = lane->subject;
    bool room = has_room(t, w);
    *(room ? &t->stats.queued[w->sort] : &t->stats.held) += 1;
    list_remove(&lane->link);
    list_push_back(room ? &s->queued[w->sort] : &s->held, &lane->link);
    lane->aside = true;
    if (list_empty(&s->held_link)) {
        list_push_back(&t->held, &s->held_link);
    }
    if (list_empty(&s->lanes)) {
        list_remove(&s->link);
    }
}

/* The subject's time: until it has used it up or has nothing left that may go on. */
static void serve(struct turns *t, struct subject *s)
{
    s->refs++;
    t->stats.served++;
    s->deficit_ns += TURNS_QUANTUM_US * 1000;
    while (s->deficit_ns > 0 && !list_empty(&s->lanes)) {
        struct lane *lane = LIST_ENTRY(s->lanes.next, struct lane, link);
        struct work *w = first_of(lane);
        if (!has_room(t, w) || !has_place(s, w)) {
            hold(t, lane, w);
            continue;
        }
        list_remove(&lane->link); /* the next one's turn; a lane that has more work stands behind the others */
        list_push_back(&s->lanes, &lane->link);
        subject_unref(t, leave(t, w));
        s->deficit_ns -= do_work(t, w);
    }
    if (list_empty(&s->lanes)) {
        s->deficit_ns = MIN(s->deficit_ns, 0);
    } else {
        list_remove(&s->link);
        list_push_back(&t->ready[s->class], &s->link);
    }
    subject_unref(t, s);
}

static struct subject *next_subject(struct turns *t)
{
    for (unsigned i = 0; i < TURN_CLASSES; i++) {
        t->next = (t->next + 1) % TURN_CLASSES;
        if (!list_empty(&t->ready[t->next])) {
            return LIST_ENTRY(t->ready[t->next].next, struct subject, link);
        }
    }
    return NULL;
}

void turns_tick(struct turns *t, int64_t now_ms)
{
    int64_t from = t->ticked_ms / TURNS_LATE_MS, to = now_ms / TURNS_LATE_MS;
    for (int64_t i = MAX(from, to - (int64_t)LATE_BUCKETS + 1); i <= to; i++) {
        LIST_FOR_SAFE(it, bucket_of(t, i * TURNS_LATE_MS))
        {
            if (LIST_ENTRY(it, struct work, late_link)->late_ms < now_ms) {
                list_remove(it);
                list_push_back(&t->due, it);
            }
        }
    }
    t->ticked_ms = now_ms;
}

static void tell_late(struct turns *t, uint64_t start)
{
    while (!list_empty(&t->due) && uv_hrtime() - start < TURNS_BUDGET_US * 1000u) {
        struct work *w = LIST_ENTRY(t->due.next, struct work, late_link);
        subject_unref(t, leave(t, w));
        w->late(w);
    }
}

bool turns_could_go(const struct turns *t)
{
    if (!list_empty(&t->due)) {
        return true;
    }
    for (int i = 0; i < TURN_CLASSES; i++) {
        if (!list_empty(&t->ready[i])) {
            return true;
        }
    }
    LIST_FOR(it, &t->held)
    {
        const struct subject *s = LIST_ENTRY(it, struct subject, held_link);
        for (unsigned sort = 0; sort < TURN_SORTS; sort++) {
            if (!list_empty(&s->queued[sort]) && s->begun[sort] < turns_most(sort)) {
                return true;
            }
        }
    }
    return false;
}

bool turns_waiting(const struct turns *t)
{
    return t->waiting > 0;
}

unsigned turns_share_us(int64_t turn_us)
{
    return (unsigned)MIN(MAX(turn_us / 4, TURNS_SHARE_LEAST_US), TURNS_SHARE_MOST_US);
}

void turns_set_share(struct turns *t, unsigned share_us)
{
    assert(share_us > 0);
    t->share_us = share_us;
}

bool turns_run(struct turns *t)
{
    uint64_t start = uv_hrtime();
    tell_late(t, start);
    release(t);
    struct subject *s = t->waiting == 0 ? NULL : next_subject(t);
    while (s != NULL) {
        serve(t, s);
        s = has_time(t, uv_hrtime() - start) ? next_subject(t) : NULL;
    }
    t->used_ns = t->lists_ns = 0;
    return turns_could_go(t);
}

void turns_stats(const struct turns *t, struct turns_stats *out)
{
    *out = t->stats;
    out->waiting = t->waiting;
    out->subjects = (unsigned)t->subjects.count;
}

struct subject *turns_next(const struct turns *t, size_t *cursor)
{
    const struct strmap_entry *e = strmap_next(&t->subjects, cursor);
    return e == NULL ? NULL : e->value;
}
