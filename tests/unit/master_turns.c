/* Turns by themselves (master/front/turns.h): what has begun is bounded, what waits for its place stands in nobody's
 * way, and each place is given back once. No requests, no masters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/env.h"
#include "base/mem.h"
#include "master/front/turns.h"

#define TURNS_ENOUGH 100000 /* whoever is not through then stands still */

struct table {
    struct turns *turns;
    bool room;       /* for writes */
    unsigned served; /* turns of jobs so far */
};
enum job_state { JOB_WAITS, JOB_AWAY, JOB_OVER };
struct job {
    struct work work;
    struct table *table;
    struct lane *lane;
    struct subject *place;  /* NULL: it has not begun, or is answered */
    unsigned burns_us;      /* in each piece */
    unsigned pieces, aways; /* of its work; how often it goes away in between, as to have a read confirmed */
    enum job_state state;
    unsigned at; /* table->served when it was over */
    bool dropped, late;
};

static bool room_for(void *data, enum turn_room room)
{
    (void)room;
    return ((struct table *)data)->room;
}

static void job_over(struct job *j)
{
    j->state = JOB_OVER;
    j->at = j->table->served;
    if (j->place != NULL) {
        turns_end(j->table->turns, TAKE_PTR(j->place), j->work.sort);
    }
}

static void run(struct work *w)
{
    struct job *j = CONTAINER_OF(w, struct job, work);
    j->table->served++;
    for (uint64_t until = uv_hrtime() + 1000u * j->burns_us; uv_hrtime() < until;) {
    }
    if (j->place == NULL) {
        assert_true(j->lane->subject->begun[w->sort] < turns_most(w->sort));
        j->place = turns_begin(j->table->turns, j->lane->subject, w->sort);
        w->begins = false;
        w->begun = true;
    }
    if (j->aways > 0) {
        j->aways--;
        j->state = JOB_AWAY;
    } else if (--j->pieces > 0) {
        turns_go_on(j->table->turns, j->lane, w);
    } else {
        job_over(j);
    }
}

static void drop(struct work *w)
{
    struct job *j = CONTAINER_OF(w, struct job, work);
    j->dropped = true;
    job_over(j);
}

static void late(struct work *w)
{
    struct job *j = CONTAINER_OF(w, struct job, work);
    assert_null(w->lane);
    j->late = true;
    job_over(j);
}

static void job_init(struct job *j, struct table *table, struct lane *lane, enum turn_sort sort)
{
    *j = (struct job){
        .work = {.sort = sort, .begins = true, .run = run, .drop = drop, .late = late},
        .table = table,
        .lane = lane,
        .pieces = 1,
    };
}

static bool job_do(struct job *j)
{
    j->state = JOB_WAITS;
    return turns_do(j->table->turns, j->lane, &j->work);
}

static struct job *jobs_new(struct table *table, struct lane *lane, enum turn_sort sort, unsigned count)
{
    struct job *all = xcalloc(count, sizeof *all);
    for (unsigned i = 0; i < count; i++) {
        job_init(&all[i], table, lane, sort);
    }
    return all;
}

static void do_all(struct job *all, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_true(job_do(&all[i]));
    }
}

/* Those that are away come back, in their order. */
static void come_back(struct job *all, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (all[i].state == JOB_AWAY) {
            assert_true(job_do(&all[i]));
        }
    }
}

static unsigned count_over(const struct job *all, unsigned count)
{
    unsigned over = 0;
    for (unsigned i = 0; i < count; i++) {
        over += all[i].state == JOB_OVER;
    }
    return over;
}

static void run_all(struct job *all, unsigned count)
{
    struct table *table = all[0].table;
    for (unsigned n = 0; count_over(all, count) < count; n++) {
        if (n == TURNS_ENOUGH) {
            fail_msg("stands still: %u of %u are over", count_over(all, count), count);
        }
        turns_run(table->turns);
        come_back(all, count);
    }
}

static void table_open(struct table *t)
{
    *t = (struct table){.room = true};
    t->turns = turns_new(room_for, t);
}

static void table_close(struct table *t)
{
    struct turns_stats stats;
    turns_stats(t->turns, &stats);
    assert_int_equal(stats.waiting, 0);
    for (unsigned i = 0; i < TURN_SORTS; i++) {
        assert_int_equal(stats.begun[i], 0);
    }
    assert_int_equal(stats.subjects, 0); /* nobody holds a reference */
    turns_free(t->turns);
}

static struct subject *subject_of(struct table *t, enum pki_role role, const char *name)
{
    struct pki_identity who = {.role = role};
    snprintf(who.name, sizeof who.name, "%s", name);
    return subject_get(t->turns, &who, NULL);
}

/* Work is done at once while nobody waits: so that tests begin with work that waits, somebody waits for room. */
struct blocker {
    struct subject *subject;
    struct lane lane;
    struct job job;
};

static void block(struct table *t, struct blocker *b)
{
    b->subject = subject_of(t, PKI_ROLE_MASTER, "9");
    lane_init(&b->lane, b->subject);
    job_init(&b->job, t, &b->lane, TURN_WRITE);
    b->job.work.room = TURN_ROOM_USER;
    t->room = false;
    assert_true(job_do(&b->job));
    assert_int_equal(b->job.state, JOB_WAITS);
}

static void unblock(struct table *t, struct blocker *b)
{
    t->room = true;
    run_all(&b->job, 1);
    subject_unref(t->turns, b->subject);
}

/* ---- */

/* As lists do: each goes away to have its read confirmed, comes back, and goes on for some pieces. */
static void more_lists_than_may_begin_on_one_connection_are_all_done(void **state)
{
    (void)state;
    struct table t;
    struct lane lane;
    table_open(&t);
    unsigned most = turns_most(TURN_LIST), count = 5 * most + 7;
    struct subject *s = subject_of(&t, PKI_ROLE_USER, "mallory");
    lane_init(&lane, s);
    struct job *all = jobs_new(&t, &lane, TURN_LIST, count);
    for (unsigned i = 0; i < count; i++) {
        all[i].aways = 1;
        all[i].pieces = 1 + i % 3;
    }
    do_all(all, count);
    assert_int_equal(s->begun[TURN_LIST], most); /* at once, and away */
    turns_run(t.turns);
    assert_int_equal(s->begun[TURN_LIST], most);
    run_all(all, count);
    for (unsigned i = 0; i < count; i++) {
        assert_false(all[i].dropped);
    }
    free(all);
    subject_unref(t.turns, s);
    table_close(&t);
}

static void what_waits_for_its_place_holds_up_nobody_else(void **state)
{
    (void)state;
    struct table t;
    struct lane of[4];
    table_open(&t);
    unsigned most = turns_most(TURN_LIST);
    struct subject *mallory = subject_of(&t, PKI_ROLE_USER, "mallory"), *ann = subject_of(&t, PKI_ROLE_USER, "ann");
    for (unsigned i = 0; i < 4; i++) {
        lane_init(&of[i], i < 3 ? mallory : ann);
    }
    struct job *away = jobs_new(&t, &of[0], TURN_LIST, most + 1), *list = jobs_new(&t, &of[1], TURN_LIST, 1),
               *read = jobs_new(&t, &of[2], TURN_READ, 1), *others = jobs_new(&t, &of[3], TURN_LIST, 1);
    for (unsigned i = 0; i <= most; i++) {
        away[i].aways = 1;
    }
    do_all(away, most + 1);
    do_all(list, 1);
    do_all(read, 1);
    do_all(others, 1);
    for (unsigned i = 0; i < 10; i++) {
        turns_run(t.turns);
    }
    assert_int_equal(list->state, JOB_WAITS); /* the identity's places are all taken, whatever the connection */
    assert_int_equal(away[most].state, JOB_WAITS);
    assert_int_equal(read->state, JOB_OVER); /* another sort of work, and another identity */
    assert_int_equal(others->state, JOB_OVER);
    assert_false(turns_could_go(t.turns)); /* the loop sleeps */
    away[3].aways = 0;
    assert_true(job_do(&away[3])); /* back, over: a place */
    for (unsigned i = 0; i < 2; i++) {
        turns_run(t.turns);
    }
    assert_int_equal(list->state + away[most].state, JOB_WAITS + JOB_AWAY); /* the first that came has it */
    come_back(away, most + 1);
    run_all(away, most + 1);
    run_all(list, 1);
    free(away);
    free(list);
    free(read);
    free(others);
    subject_unref(t.turns, mallory);
    subject_unref(t.turns, ann);
    table_close(&t);
}

/* A watch that goes on does not wait behind a list that may not begin. */
static void what_is_put_first_in_a_lane_that_stands_aside_goes(void **state)
{
    (void)state;
    struct table t;
    struct lane lane;
    struct blocker b;
    table_open(&t);
    unsigned most = turns_most(TURN_LIST);
    struct subject *s = subject_of(&t, PKI_ROLE_USER, "mallory");
    lane_init(&lane, s);
    struct job *all = jobs_new(&t, &lane, TURN_LIST, most + 1), watch, forgotten;
    for (unsigned i = 0; i < most; i++) {
        all[i].aways = 1;
    }
    do_all(all, most + 1);
    turns_run(t.turns);
    assert_int_equal(all[most].state, JOB_WAITS);
    job_init(&watch, &t, &lane, TURN_STREAM);
    watch.place = turns_begin(t.turns, s, TURN_STREAM);
    watch.work.begins = false;
    turns_go_on(t.turns, &lane, &watch.work);
    run_all(&watch, 1);
    assert_int_equal(all[most].state, JOB_WAITS);
    /* What nobody wants any more gives way to what may go. */
    turns_forget(t.turns, &all[most].work);
    job_init(&forgotten, &t, &lane, TURN_LIST);
    block(&t, &b);
    do_all(&forgotten, 1);
    job_init(&watch, &t, &lane, TURN_READ);
    do_all(&watch, 1);
    turns_run(t.turns);
    assert_int_equal(watch.state, JOB_WAITS); /* in its order */
    turns_forget(t.turns, &forgotten.work);
    run_all(&watch, 1);
    unblock(&t, &b);
    come_back(all, most);
    run_all(all, most);
    free(all);
    subject_unref(t.turns, s);
    table_close(&t);
}

static void what_has_begun_is_never_refused(void **state)
{
    (void)state;
    struct table t;
    struct lane lane;
    struct blocker b;
    struct job begun, more;
    table_open(&t);
    struct subject *s = subject_of(&t, PKI_ROLE_USER, "mallory");
    lane_init(&lane, s);
    job_init(&begun, &t, &lane, TURN_READ);
    begun.aways = 1;
    do_all(&begun, 1);
    assert_int_equal(begun.state, JOB_AWAY);
    block(&t, &b);
    struct job *all = jobs_new(&t, &lane, TURN_READ, TURNS_WAITING_MAX);
    do_all(all, TURNS_WAITING_MAX);
    job_init(&more, &t, &lane, TURN_READ);
    assert_false(job_do(&more));
    come_back(&begun, 1);
    turns_run(t.turns);
    assert_int_equal(begun.state, JOB_OVER);
    assert_int_equal(begun.at, t.served - count_over(all, TURNS_WAITING_MAX)); /* before all that had not begun */
    run_all(all, TURNS_WAITING_MAX);
    unblock(&t, &b);
    free(all);
    subject_unref(t.turns, s);
    table_close(&t);
}

static void what_goes_with_its_connection_gives_back_its_places(void **state)
{
    (void)state;
    struct table t;
    struct lane gone, stays;
    table_open(&t);
    unsigned most = turns_most(TURN_LIST);
    struct subject *s = subject_of(&t, PKI_ROLE_USER, "mallory");
    lane_init(&gone, s);
    lane_init(&stays, s);
    struct job *all = jobs_new(&t, &gone, TURN_LIST, most + 50), *other = jobs_new(&t, &stays, TURN_LIST, 1);
    for (unsigned i = 0; i < most; i++) {
        all[i].aways = 1;
    }
    do_all(all, most + 50);
    do_all(other, 1);
    turns_run(t.turns);
    assert_int_equal(other->state, JOB_WAITS);
    for (unsigned i = 0; i < most / 2; i++) { /* half of them are back, and wait for another turn */
        all[i].pieces = 1000;
        assert_true(job_do(&all[i]));
    }
    lane_drop(t.turns, &gone);
    assert_int_equal(count_over(all, most + 50), most / 2 + 50);
    for (unsigned i = 0; i < most; i++) { /* those that are away find nobody */
        if (all[i].state == JOB_AWAY) {
            job_over(&all[i]);
        }
    }
    assert_int_equal(s->begun[TURN_LIST], 0);
    run_all(other, 1);
    free(all);
    free(other);
    subject_unref(t.turns, s);
    table_close(&t);
}

/* Whatever the crowd of users, agents and administrators are next after one of them. */
static void agents_and_administrators_stand_behind_one_user(void **state)
{
    enum { CROWD = 2000, PIECES = 20 };
    (void)state;
    struct table t;
    struct blocker b;
    table_open(&t);
    block(&t, &b);
    struct lane *lanes = xcalloc(CROWD, sizeof *lanes);
    struct job *crowd = jobs_new(&t, lanes, TURN_LIST, CROWD);
    for (unsigned i = 0; i < CROWD; i++) {
        char name[16];
        snprintf(name, sizeof name, "u%u", i);
        lane_init(&lanes[i], subject_of(&t, PKI_ROLE_USER, name));
        crowd[i].lane = &lanes[i];
        crowd[i].pieces = PIECES;
    }
    do_all(crowd, CROWD);
    static const enum pki_role roles[] = {PKI_ROLE_NODE, PKI_ROLE_ADMIN};
    struct subject *first[ARRAY_SIZE(roles)];
    struct lane lane[ARRAY_SIZE(roles)];
    struct job job[ARRAY_SIZE(roles)];
    for (unsigned i = 0; i < ARRAY_SIZE(roles); i++) {
        first[i] = subject_of(&t, roles[i], "n1");
        lane_init(&lane[i], first[i]);
        job_init(&job[i], &t, &lane[i], TURN_WRITE);
        do_all(&job[i], 1);
    }
    unsigned before = t.served;
    run_all(job, ARRAY_SIZE(roles));
    for (unsigned i = 0; i < ARRAY_SIZE(roles); i++) {
        assert_in_range(job[i].at - before, 1, PIECES + ARRAY_SIZE(roles));
        subject_unref(t.turns, first[i]);
    }
    run_all(crowd, CROWD);
    unblock(&t, &b);
    for (unsigned i = 0; i < CROWD; i++) {
        subject_unref(t.turns, lanes[i].subject);
    }
    free(crowd);
    free(lanes);
    table_close(&t);
}

/* So that the next turn, which reads what has come meanwhile, is not far. */
static void a_turn_does_lists_for_a_part_of_its_time(void **state)
{
    /* A subject has its whole time. */
    enum { PIECES = 200, PIECE_US = TURNS_SHARE_LEAST_US / 4 };
    (void)state;
    assert_int_equal(turns_share_us(0), TURNS_SHARE_LEAST_US);
    assert_int_equal(turns_share_us(3000), 750);
    assert_int_equal(turns_share_us(40000), TURNS_SHARE_MOST_US);
    struct table t;
    struct lane lane;
    struct job list;
    table_open(&t);
    struct subject *s = subject_of(&t, PKI_ROLE_USER, "mallory");
    lane_init(&lane, s);
    job_init(&list, &t, &lane, TURN_LIST);
    list.pieces = PIECES;
    list.burns_us = PIECE_US;
    unsigned share_us = TURNS_SHARE_LEAST_US;
    do_all(&list, 1);
    while (list.state != JOB_OVER) {
        unsigned before = t.served;
        turns_run(t.turns);
        assert_in_range(t.served - before, 1, (share_us + TURNS_QUANTUM_US) / PIECE_US + 1);
        share_us = share_us == TURNS_SHARE_LEAST_US ? TURNS_SHARE_MOST_US : TURNS_SHARE_LEAST_US;
        turns_set_share(t.turns, share_us);
    }
    subject_unref(t.turns, s);
    table_close(&t);
}

/* ---- Whatever comes, in whatever order ---- */

enum { SUBJECTS = 5, LANES = 4, JOBS = 3000 };

static void step_at_random(struct table *t, struct rng *rng, struct job *all, struct lane *lanes, unsigned *next)
{
    unsigned what = (unsigned)rng_below(rng, 100);
    if (what < 60 && *next < JOBS) {
        struct job *j = &all[(*next)++];
        struct lane *lane = &lanes[rng_below(rng, SUBJECTS * LANES)];
        job_init(j, t, lane, rng_below(rng, 3) > 0 ? TURN_LIST : (enum turn_sort)rng_below(rng, TURN_SORTS));
        j->pieces = 1 + (unsigned)rng_below(rng, 4);
        j->aways = (unsigned)rng_below(rng, 3);
        j->work.room = j->work.sort == TURN_WRITE ? TURN_ROOM_USER : TURN_ROOM_NONE;
        assert_true(job_do(j));
    } else if (what < 80) {
        unsigned from = (unsigned)rng_below(rng, *next + 1);
        come_back(all + from, MIN(*next - from, 50));
    } else if (what < 90) {
        turns_run(t->turns);
    } else if (what < 98) {
        t->room = rng_below(rng, 2) > 0;
    } else { /* a connection is gone, and one of the same identity comes */
        struct lane *lane = &lanes[rng_below(rng, SUBJECTS * LANES)];
        lane_drop(t->turns, lane);
        for (unsigned i = 0; i < *next; i++) {
            if (all[i].lane == lane && all[i].state == JOB_AWAY) {
                job_over(&all[i]);
            }
            assert_true(all[i].lane != lane || all[i].state == JOB_OVER);
        }
        lane_init(lane, lane->subject);
    }
}

static void nothing_stands_still_and_each_place_is_given_back(void **state)
{
    (void)state;
    const char *only = getenv("SEED");
    for (uint64_t seed = only == NULL ? 1 : strtoull(only, NULL, 10), end = seed + (only == NULL ? 60 : 1); seed < end;
         seed++) {
        struct table t;
        struct rng rng = {seed};
        struct lane lanes[SUBJECTS * LANES];
        struct job *all = xcalloc(JOBS, sizeof *all);
        unsigned next = 0;
        static const enum pki_role roles[SUBJECTS] = {PKI_ROLE_MASTER, PKI_ROLE_NODE, PKI_ROLE_ADMIN, PKI_ROLE_USER,
                                                      PKI_ROLE_USER};
        table_open(&t);
        for (unsigned i = 0; i < SUBJECTS * LANES; i++) {
            char name[16];
            snprintf(name, sizeof name, "%u", i / LANES);
            lane_init(&lanes[i], subject_of(&t, roles[i / LANES], name));
        }
        while (next < JOBS) {
            step_at_random(&t, &rng, all, lanes, &next);
        }
        t.room = true;
        run_all(all, JOBS);
        for (unsigned i = 0; i < SUBJECTS * LANES; i++) {
            assert_false(lane_waits(&lanes[i]));
            subject_unref(t.turns, lanes[i].subject);
        }
        free(all);
        table_close(&t);
    }
}

/* The row of who asked over another master holds the lane of that, and its last work takes the row away. */
static void forwarded_work_that_waits_at_the_end_is_dropped(void **state)
{
    (void)state;
    struct table t;
    table_open(&t);
    t.room = false;
    struct subject *s = subject_of(&t, PKI_ROLE_USER, "ann");
    struct job *all = jobs_new(&t, NULL, TURN_WRITE, 3);
    for (unsigned i = 0; i < 3; i++) {
        all[i].work.room = TURN_ROOM_USER;
        all[i].lane = subject_lane(s, &all[i].work);
    }
    do_all(all, 3);
    subject_unref(t.turns, s);
    t.room = true;
    turns_free(t.turns);
    assert_int_equal(count_over(all, 3), 3);
    assert_true(all[0].dropped && all[1].dropped && all[2].dropped);
    free(all);
}

/* Other masters send what many connections of an identity ask: lists that wait for a place, a write that waits for
 * room. */
static void forwarded_work_holds_up_its_like_alone(void **state)
{
    (void)state;
    struct table t;
    table_open(&t);
    unsigned most = turns_most(TURN_LIST);
    struct subject *s = subject_of(&t, PKI_ROLE_USER, "ann");
    struct job *lists = jobs_new(&t, NULL, TURN_LIST, most + 20), write, deletion, read;
    for (unsigned i = 0; i < most + 20; i++) {
        lists[i].lane = subject_lane(s, &lists[i].work);
        lists[i].aways = i < most;
    }
    do_all(lists, most + 20);
    turns_run(t.turns);
    assert_int_equal(lists[most].state, JOB_WAITS);
    job_init(&write, &t, NULL, TURN_WRITE);
    write.work.room = TURN_ROOM_USER;
    write.lane = subject_lane(s, &write.work);
    t.room = false;
    do_all(&write, 1);
    job_init(&deletion, &t, NULL, TURN_WRITE);
    deletion.lane = subject_lane(s, &deletion.work);
    do_all(&deletion, 1);
    job_init(&read, &t, NULL, TURN_READ);
    read.lane = subject_lane(s, &read.work);
    do_all(&read, 1);
    for (unsigned i = 0; i < 3; i++) {
        turns_run(t.turns);
    }
    assert_int_equal(deletion.state, JOB_OVER);
    assert_int_equal(read.state, JOB_OVER);
    assert_int_equal(write.state, JOB_WAITS);
    assert_int_equal(lists[most].state, JOB_WAITS);
    t.room = true;
    run_all(&write, 1);
    run_all(lists, most + 20);
    free(lists);
    subject_unref(t.turns, s);
    table_close(&t);
}

static unsigned count_late(const struct job *all, unsigned count)
{
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++) {
        n += all[i].late;
    }
    return n;
}

/* Each has its own time, some more than the wheel goes round. */
static void who_waits_too_long_is_told_when_its_time_is_over(void **state)
{
    enum { COUNT = 2000, EVERY_MS = 100, FROM_MS = 1000000 };
    (void)state;
    struct table t;
    struct lane lane;
    struct blocker b;
    table_open(&t);
    struct subject *s = subject_of(&t, PKI_ROLE_USER, "ann");
    lane_init(&lane, s);
    block(&t, &b);
    turns_tick(t.turns, FROM_MS);
    struct job *all = jobs_new(&t, &lane, TURN_WRITE, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        all[i].work.room = TURN_ROOM_USER;
        all[i].work.late_ms = i % 10 == 9 ? 0 : FROM_MS + (int64_t)i * EVERY_MS; /* the first ones' is over already */
    }
    do_all(all, COUNT);
    for (int64_t now = FROM_MS; now < FROM_MS + (COUNT / 2) * EVERY_MS; now += TURNS_LATE_MS) {
        turns_tick(t.turns, now);
        while (turns_run(t.turns)) {
        }
        for (unsigned i = 0; i < COUNT; i++) {
            assert_int_equal(all[i].late, all[i].work.late_ms != 0 && all[i].work.late_ms < now);
        }
    }
    assert_in_range(count_late(all, COUNT), 880, 900);
    unblock(&t, &b);
    run_all(all, COUNT);
    turns_tick(t.turns, FROM_MS + 10 * COUNT * EVERY_MS);
    turns_run(t.turns);
    assert_in_range(count_late(all, COUNT), 880, 900); /* those that had their turn are not told */
    assert_true(t.served > COUNT / 2);
    free(all);
    subject_unref(t.turns, s);
    table_close(&t);
}

/* What was begun, and waits to go on, gives back its place. */
static void who_is_late_gives_back_its_place(void **state)
{
    (void)state;
    struct table t;
    struct lane lane;
    struct blocker b;
    struct job list, next;
    table_open(&t);
    struct subject *s = subject_of(&t, PKI_ROLE_USER, "ann");
    lane_init(&lane, s);
    job_init(&list, &t, &lane, TURN_LIST);
    list.aways = 1;
    list.pieces = 2;
    do_all(&list, 1);
    assert_int_equal(s->begun[TURN_LIST], 1);
    block(&t, &b);
    list.work.late_ms = 5;
    list.work.room = TURN_ROOM_USER; /* it does not come to its turn */
    come_back(&list, 1);
    job_init(&next, &t, &lane, TURN_READ);
    do_all(&next, 1);
    turns_run(t.turns);
    assert_int_equal(next.state, JOB_WAITS); /* behind it */
    turns_tick(t.turns, 6);
    assert_true(turns_could_go(t.turns)); /* the loop does not sleep over it */
    turns_run(t.turns);
    assert_true(list.late);
    assert_int_equal(s->begun[TURN_LIST], 0);
    run_all(&next, 1);
    unblock(&t, &b);
    subject_unref(t.turns, s);
    table_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_lists_than_may_begin_on_one_connection_are_all_done),
        cmocka_unit_test(what_waits_for_its_place_holds_up_nobody_else),
        cmocka_unit_test(what_is_put_first_in_a_lane_that_stands_aside_goes),
        cmocka_unit_test(what_has_begun_is_never_refused),
        cmocka_unit_test(what_goes_with_its_connection_gives_back_its_places),
        cmocka_unit_test(agents_and_administrators_stand_behind_one_user),
        cmocka_unit_test(a_turn_does_lists_for_a_part_of_its_time),
        cmocka_unit_test(nothing_stands_still_and_each_place_is_given_back),
        cmocka_unit_test(forwarded_work_that_waits_at_the_end_is_dropped),
        cmocka_unit_test(forwarded_work_holds_up_its_like_alone),
        cmocka_unit_test(who_waits_too_long_is_told_when_its_time_is_over),
        cmocka_unit_test(who_is_late_gives_back_its_place),
    };
    cmocka_set_test_filter(getenv("TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
