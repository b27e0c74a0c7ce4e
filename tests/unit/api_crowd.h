/* One identity that wants all, and others beside it: counted in turns of the loop, not in time. Part of api_rest.c,
 * whose world it uses. */
#ifndef TESTS_UNIT_API_CROWD_H
#define TESTS_UNIT_API_CROWD_H

#define TURNS_MOST 12 /* of the loop: for a turn, a confirmed read, and another turn, with all others' between them */

static void send_text(struct wire *w, const char *text)
{
    feed(w, str_of(text), NULL);
}

/* How many turns of the loop it takes until somebody else's request is answered. */
static unsigned turns_until_answered(struct world *w, struct wire *ann)
{
    unsigned turns = 0;
    size_t before = ann->out.size;
    send_text(ann, "GET /api/v1/namespaces/default HTTP/1.1\r\nHost: reeve\r\n\r\n");
    while (ann->out.size == before && turns < 10 * TURNS_MOST) {
        turns_run(w->m->turns);
        watch_table_advance(w->m->watches, false);
        watch_table_turn(w->m->watches);
        step(&w->c);
        turns++;
    }
    return turns;
}

static struct wire *crowd_new(struct world *w, unsigned count, const char *request)
{
    struct wire *crowd = xcalloc(count, sizeof *crowd);
    for (unsigned i = 0; i < count; i++) {
        crowd[i].world = w;
        wire_open(&crowd[i], "mallory");
        send_text(&crowd[i], request);
    }
    return crowd;
}

static void crowd_free(struct world *w, struct wire *crowd, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        wire_hang_up(&crowd[i]);
    }
    turn_once(w);
    free(crowd);
}

static void test_10000_connections_that_list_all_cost_others_a_few_turns(void **state)
{
    enum { CROWD = 10000 };
    (void)state;
    struct world w = {0};
    CLEANUP_BUF struct buf shown = BUF_INIT;
    struct turns_stats stats;
    world_open(&w, 1);
    do_many(&w, &(struct script_step){.words = {"60", "100"}}, &shown);
    struct wire *ann = wire_named(&w, "ann", NULL);
    struct wire *crowd = crowd_new(&w, CROWD, "GET /api/v1/configmaps HTTP/1.1\r\nHost: reeve\r\n\r\n");
    for (unsigned i = 0; i < 20; i++) {
        unsigned turns = turns_until_answered(&w, ann);
        turns_stats(w.m->turns, &stats);
        assert_in_range(turns, 1, TURNS_MOST);
        assert_in_range(stats.begun[TURN_LIST], 0, turns_most(TURN_LIST));
    }
    assert_true(stats.queued[TURN_LIST] > 0 && stats.waiting > 0); /* the crowd is not through */
    unsigned answered = 0;
    run_ms(&w, 8000);
    for (unsigned i = 0; i < CROWD; i++) {
        answered += crowd[i].out.size > 6000 && memcmp(crowd[i].out.data, "HTTP/1.1 200", 12) == 0;
    }
    assert_int_equal(answered, CROWD); /* they waited, and nobody was refused */
    turns_stats(w.m->turns, &stats);
    assert_int_equal(stats.begun[TURN_LIST], 0);
    crowd_free(&w, crowd, CROWD);
    world_close(&w);
}

static unsigned begun_lists(const struct world *w)
{
    struct turns_stats stats;
    turns_stats(w->m->turns, &stats);
    return stats.begun[TURN_LIST];
}

static unsigned count_text(const struct buf *b, const char *text)
{
    unsigned count = 0;
    const char *p = (const char *)b->data, *end = p + b->size;
    for (; b->size > 0 && (p = memmem(p, (size_t)(end - p), text, strlen(text))) != NULL; p++) {
        count++;
    }
    return count;
}

/* HTTP answers one after the other: many in one piece take one place. */
static void test_lists_that_came_in_one_piece_are_all_answered(void **state)
{
    enum { LISTS = 200 };
    (void)state;
    struct world w = {0};
    CLEANUP_BUF struct buf shown = BUF_INIT, text = BUF_INIT;
    world_open(&w, 1);
    do_many(&w, &(struct script_step){.words = {"600", "10"}}, &shown);
    for (unsigned i = 0; i < LISTS; i++) {
        buf_puts(&text, "GET /api/v1/configmaps HTTP/1.1\r\nHost: reeve\r\n\r\n");
    }
    struct wire *one = wire_named(&w, "one", "mallory");
    feed(one, buf_str(&text), NULL);
    assert_in_range(begun_lists(&w), 0, 1);
    run_ms(&w, 8000);
    assert_int_equal(count_text(&one->out, "HTTP/1.1 200 OK"), LISTS);
    world_close(&w);
}

/* All places of an identity are taken by lists that are read by nobody. */
static void test_a_place_is_given_back_when_a_connection_is_cut_midway(void **state)
{
    (void)state;
    struct world w = {0};
    CLEANUP_BUF struct buf shown = BUF_INIT;
    unsigned most = turns_most(TURN_LIST);
    const char *list = "GET /api/v1/configmaps HTTP/1.1\r\nHost: reeve\r\n\r\n";
    world_open(&w, 1);
    w.m->held.max = 1u << 30;
    do_many(&w, &(struct script_step){.words = {"1000", "4000"}}, &shown);
    struct wire *deaf = xcalloc(most, sizeof *deaf);
    for (unsigned i = 0; i < most; i++) {
        deaf[i] = (struct wire){.world = &w, .deaf = true};
        wire_open(&deaf[i], "mallory");
        send_text(&deaf[i], list);
    }
    run_ms(&w, 500);
    assert_int_equal(begun_lists(&w), most);
    struct wire *late = wire_named(&w, "late", "mallory"), *ann = wire_named(&w, "ann", NULL),
                *begun = wire_named(&w, "begun", "mallory");
    send_text(late, list);
    send_text(begun, list);
    send_text(ann, list);
    run_ms(&w, 500);
    assert_int_equal(count_text(&late->out, "HTTP/1.1 200"), 0);
    assert_int_equal(count_text(&ann->out, "HTTP/1.1 200"), 1); /* somebody else has places of his own */
    wire_hang_up(&deaf[0]);
    run_ms(&w, 500);
    assert_int_equal(count_text(&late->out, "HTTP/1.1 200"), 1);
    assert_int_equal(count_text(&begun->out, "HTTP/1.1 200"), 1); /* the next one, behind it */
    assert_int_equal(begun_lists(&w), most - 1);
    send_text(late, list); /* cut while its read is being confirmed */
    turns_run(w.m->turns);
    assert_int_equal(begun_lists(&w), most);
    wire_hang_up(late);
    run_ms(&w, 500);
    assert_int_equal(begun_lists(&w), most - 1);
    crowd_free(&w, deaf, most);
    assert_int_equal(begun_lists(&w), 0);
    world_close(&w);
}

/* Lists and watches that nobody reads: each has its own bound, and all of one identity have one together. */
static void test_slow_readers_are_bounded_in_bytes(void **state)
{
    enum { CROWD = 60, SHARE = 2 << 20, EACH = REST_SEND_HIGH + 2 * TURNS_PIECE_BYTES };
    (void)state;
    struct world w = {0};
    CLEANUP_BUF struct buf shown = BUF_INIT;
    world_open(&w, 1);
    w.m->held.max = 1u << 30;
    do_many(&w, &(struct script_step){.words = {"1000", "4000"}}, &shown);
    struct wire *crowd = xcalloc(CROWD, sizeof *crowd), *ann = wire_named(&w, "ann", NULL);
    ann->deaf = true;
    send_text(ann, "GET /api/v1/configmaps?limit=20 HTTP/1.1\r\nHost: reeve\r\n\r\n");
    for (unsigned i = 0; i < CROWD; i++) {
        crowd[i] = (struct wire){.world = &w, .deaf = true};
        wire_open(&crowd[i], "mallory");
        send_text(&crowd[i], i % 2 == 0 ? "GET /api/v1/configmaps HTTP/1.1\r\nHost: reeve\r\n\r\n"
                                        : "GET /api/v1/configmaps?watch=1 HTTP/1.1\r\nHost: reeve\r\n\r\n");
    }
    run_ms(&w, 2000);
    for (unsigned i = 0; i < CROWD; i++) {
        assert_in_range(crowd[i].session.way->held(&crowd[i].session), TURNS_PIECE_BYTES, EACH);
    }
    held_look(w.m);
    assert_int_equal(w.m->held.shed, 0);
    w.m->held.max = 4 * SHARE;
    w.m->rpc_stats.bytes += w.m->held.max; /* as if so much had gone through since it was looked last */
    held_look(w.m);
    size_t left = 0;
    unsigned shed = 0;
    for (unsigned i = 0; i < CROWD; i++) {
        shed += crowd[i].closed;
        left += crowd[i].closed ? 0 : crowd[i].held.size;
    }
    assert_in_range(left, SHARE / 2, SHARE);
    assert_int_equal(w.m->held.shed, shed);
    assert_false(ann->closed);
    crowd_free(&w, crowd, CROWD);
    world_close(&w);
}

/* [1 status-429] [1 status-retry-after] */
static void test_who_has_too_much_waiting_is_told_to_come_again(void **state)
{
    enum { CROWD = TURNS_WAITING_MAX + 500 };
    (void)state;
    struct world w = {0};
    unsigned refused = 0;
    world_open(&w, 1);
    w.m->held.max = 256 << 20;
    struct wire *ann = wire_named(&w, "ann", NULL);
    struct wire *crowd = crowd_new(&w, CROWD, "GET /api/v1/configmaps HTTP/1.1\r\nHost: reeve\r\n\r\n");
    for (unsigned i = 0; i < CROWD; i++) {
        const char *text = crowd[i].out.size == 0 ? "" : buf_cstr(&crowd[i].out);
        if (strncmp(text, "HTTP/1.1 429 ", 13) == 0) {
            refused++;
            assert_non_null(strstr(text, "\r\nRetry-After: 1\r\n"));
            assert_non_null(strstr(text, "\"reason\":\"TooManyRequests\""));
            assert_non_null(strstr(text, "wait for their turn, which is the most that may; nothing was done"));
        }
    }
    assert_in_range(refused, 1, 500);
    assert_in_range(turns_until_answered(&w, ann), 1, TURNS_MOST);
    crowd_free(&w, crowd, CROWD);
    world_close(&w);
}

static void test_1000_watches_cost_others_a_few_turns(void **state)
{
    enum { CROWD = 1000 };
    (void)state;
    struct world w = {0};
    CLEANUP_BUF struct buf shown = BUF_INIT;
    world_open(&w, 1);
    do_many(&w, &(struct script_step){.words = {"300", "100"}}, &shown);
    struct wire *ann = wire_named(&w, "ann", NULL);
    struct wire *crowd = crowd_new(&w, CROWD, "GET /api/v1/configmaps?watch=1 HTTP/1.1\r\nHost: reeve\r\n\r\n");
    for (unsigned i = 0; i < 10; i++) {
        assert_in_range(turns_until_answered(&w, ann), 1, TURNS_MOST);
    }
    run_ms(&w, 1000);
    size_t before = crowd[CROWD - 1].out.size;
    assert_true(before > 300 * 200);
    for (unsigned i = 0; i < 5; i++) { /* and each change is told to all of them */
        send_text(ann, "PATCH /api/v1/namespaces/default/configmaps/many-0001 HTTP/1.1\r\nHost: reeve\r\nContent-Type: "
                       "application/merge-patch+json\r\nContent-Length: 20\r\n\r\n{\"data\":{\"k\":\"new\"}}");
        run_ms(&w, 20);
        assert_in_range(turns_until_answered(&w, ann), 1, TURNS_MOST);
    }
    run_ms(&w, 200);
    for (unsigned i = 0; i < CROWD; i++) {
        assert_true(crowd[i].out.size > before);
    }
    crowd_free(&w, crowd, CROWD);
    world_close(&w);
}

#endif
