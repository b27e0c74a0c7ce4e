/* The log is limited by rate at each place that writes to it, and says what it left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"

struct paper {
    struct log log;
    int64_t now_ms;
    unsigned lines;
    char last[4096];
};

static void sink(void *data, enum log_level level, const char *line, unsigned size)
{
    struct paper *p = data;
    (void)level;
    p->lines++;
    snprintf(p->last, sizeof p->last, "%.*s", (int)size, line);
}

static int64_t clock_ms(void *data)
{
    return ((struct paper *)data)->now_ms;
}

static void paper_open(struct paper *p)
{
    *p = (struct paper){.now_ms = 1000};
    p->log = (struct log){.name = "test",
                          .level = LOG_LEVEL_INFO,
                          .sink = sink,
                          .sink_data = p,
                          .wall_ms = clock_ms,
                          .wall_data = p,
                          .now_ms = clock_ms,
                          .rates = log_rates_new()};
}

static void knock(struct paper *p, unsigned who)
{
    log_warn(&p->log, "net", "somebody (%u) knocks", who);
}

static void a_place_writes_a_burst_and_then_a_line_now_and_again_with_what_was_left_out(void **state)
{
    (void)state;
    struct paper p;
    paper_open(&p);
    for (unsigned i = 0; i < 600; i++) {
        knock(&p, i);
    }
    assert_int_equal(p.lines, LOG_BURST);
    assert_null(strstr(p.last, "more like this"));
    p.now_ms += LOG_EACH_MS - 1;
    knock(&p, 600);
    assert_int_equal(p.lines, LOG_BURST);
    p.now_ms += 1;
    knock(&p, 601);
    assert_int_equal(p.lines, LOG_BURST + 1);
    assert_non_null(strstr(p.last, "somebody (601) knocks (591 more like this in the last 6 s)\n"));
    knock(&p, 602);
    assert_int_equal(p.lines, LOG_BURST + 1);
    p.now_ms += (int64_t)LOG_BURST * LOG_EACH_MS; /* all is forgotten */
    for (unsigned i = 0; i < 20; i++) {
        knock(&p, i);
    }
    assert_int_equal(p.lines, 2 * LOG_BURST + 1);
    log_rates_free(p.log.rates);
}

static void places_do_not_silence_each_other_and_a_log_of_level_debug_is_not_limited(void **state)
{
    (void)state;
    struct paper p;
    paper_open(&p);
    for (unsigned i = 0; i < 100; i++) {
        knock(&p, i);
    }
    assert_int_equal(p.lines, LOG_BURST);
    log_info(&p.log, "raft", "leader is 1");
    log_warn(&p.log, "rpc", "somebody (%u) knocks", 1u); /* the same words of another module */
    assert_int_equal(p.lines, LOG_BURST + 2);
    p.log.level = LOG_LEVEL_DEBUG; /* whoever looks for a fault */
    for (unsigned i = 0; i < 50; i++) {
        log_debug(&p.log, "net", "looks at %u", i);
        knock(&p, i);
    }
    assert_int_equal(p.lines, LOG_BURST + 102);
    p.log.level = LOG_LEVEL_INFO;
    log_rates_free(p.log.rates);
    p.log.rates = NULL; /* tests and tools: every line */
    for (unsigned i = 0; i < 100; i++) {
        knock(&p, i);
    }
    assert_int_equal(p.lines, LOG_BURST + 202);
}

static void a_line_that_is_too_long_still_says_what_was_left_out(void **state)
{
    (void)state;
    struct paper p;
    paper_open(&p);
    char text[4000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (unsigned i = 0; i < 2 * LOG_BURST + 1; i++) {
        p.now_ms += i == 2 * LOG_BURST ? LOG_EACH_MS : 0;
        log_error(&p.log, "net", "%s", text);
    }
    assert_int_equal(p.lines, LOG_BURST + 1);
    assert_non_null(strstr(p.last, "xxx (10 more like this in the last 6 s)\n"));
    log_rates_free(p.log.rates);
}

static void greet(struct paper *p, const char *peer)
{
    log_warn_of(&p->log, "net", peer, "%s knocks", peer);
}

static void a_peer_that_floods_a_place_hides_no_other_peers_line_there(void **state)
{
    (void)state;
    struct paper p;
    paper_open(&p);
    for (unsigned i = 0; i < 600; i++) {
        greet(&p, "10.0.0.1");
    }
    assert_int_equal(p.lines, LOG_PEER_BURST);
    greet(&p, "10.0.0.2");
    assert_int_equal(p.lines, LOG_PEER_BURST + 1);
    assert_non_null(strstr(p.last, "10.0.0.2 knocks\n"));
    p.now_ms += LOG_EACH_MS;
    greet(&p, "10.0.0.1");
    assert_int_equal(p.lines, LOG_PEER_BURST + 2);
    assert_non_null(strstr(p.last, "10.0.0.1 knocks (595 more like this in the last 6 s)\n"));
    log_rates_free(p.log.rates);
}

static void many_peers_of_a_place_write_a_bounded_number_of_lines(void **state)
{
    (void)state;
    struct paper p;
    paper_open(&p);
    for (unsigned i = 0; i < 100000; i++) {
        char peer[32];
        snprintf(peer, sizeof peer, "10.%u.%u.1", i / 256, i % 256);
        greet(&p, peer);
    }
    assert_int_equal(p.lines, LOG_PEER_BURST * LOG_PEERS);
    p.now_ms += LOG_EACH_MS;
    greet(&p, "10.0.0.1");
    assert_non_null(strstr(p.last, " more like this in the last 6 s)\n"));
    log_rates_free(p.log.rates);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_place_writes_a_burst_and_then_a_line_now_and_again_with_what_was_left_out),
        cmocka_unit_test(places_do_not_silence_each_other_and_a_log_of_level_debug_is_not_limited),
        cmocka_unit_test(a_peer_that_floods_a_place_hides_no_other_peers_line_there),
        cmocka_unit_test(many_peers_of_a_place_write_a_bounded_number_of_lines),
        cmocka_unit_test(a_line_that_is_too_long_still_says_what_was_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
