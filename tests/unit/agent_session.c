#include "tests/unit/agent_master.h"

#include "agent/link/report.h"

struct fixture {
    uv_loop_t loop;
    char *ca, *ca_key;
    struct fake_master one, two;
    struct net_tls *tls;
    struct session *session;
    unsigned ready, lost, lists[SESSION_STREAMS], list_ends[SESSION_STREAMS], routes;
    char seen[512];
    bool stopped;
    const char *const *learnt;
    unsigned masters_told;
};

static void write_node(struct buf *out, void *data)
{
    CLEANUP_ARENA struct arena a;
    struct value *doc;
    const struct str json = STR("{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n1\"}}");
    (void)data;
    arena_init(&a);
    assert_int_equal(json_read(&a, json, &doc, NULL), 0);
    msgpack_write_value(out, doc);
}

static void on_ready(struct mp result, void *data)
{
    (void)result;
    ((struct fixture *)data)->ready++;
}

static void on_lost(void *data)
{
    ((struct fixture *)data)->lost++;
}

static void on_list_begin(enum session_stream which, void *data)
{
    ((struct fixture *)data)->lists[which]++;
}

static void on_list_end(enum session_stream which, void *data)
{
    ((struct fixture *)data)->list_ends[which]++;
}

static void on_object(enum session_stream which, enum session_change change, struct object *o, void *data)
{
    static const char *const words[] = {"added", "modified", "deleted"};
    struct fixture *f = data;
    size_t n = strlen(f->seen);
    snprintf(f->seen + n, sizeof f->seen - n, "%d %s %.*s;", which, words[change], STR_ARG(o->name));
}

static void on_routes(struct mp message, void *data)
{
    ((struct fixture *)data)->routes += mp_count(mp_get(message, "routes"));
}

static void on_masters(struct mp masters, void *data)
{
    assert_int_equal(mp_count(masters), 2);
    ((struct fixture *)data)->masters_told++;
}

static void on_request(struct rpc_request *r, struct str method, struct mp params, void *data)
{
    (void)method, (void)params, (void)data;
    rpc_reply(r, STR("\x80"));
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    struct error err = {0};
    uv_loop_init(&f->loop);
    assert_int_equal(pki_make_ca("test", &f->ca, &f->ca_key, &err), 0);
    master_open(&f->one, &f->loop, f->ca, f->ca_key);
    master_open(&f->two, &f->loop, f->ca, f->ca_key);
    f->tls = tls_of(f->ca, f->ca_key, PKI_ROLE_NODE, "n1");
    *state = f;
    return 0;
}

static void start(struct fixture *f, const char *first, const char *second)
{
    const char *masters[] = {first, second, NULL};
    struct session_config c = {
        .loop = &f->loop,
        .tls = f->tls,
        .env = env_real(),
        .name = "n1",
        .instance = "1f-3-2e",
        .masters = masters,
        .learnt = f->learnt,
        .spread_ms = 200,
        .events = {write_node, on_ready, on_lost, on_list_begin, on_object, on_list_end, on_routes, NULL, NULL,
                   on_masters, on_request},
        .data = f,
    };
    f->session = session_new(&c);
    session_start(f->session);
}

static void on_stopped(void *data)
{
    ((struct fixture *)data)->stopped = true;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    session_stop(f->session, on_stopped, f);
    run_until(&f->loop, f->stopped);
    master_close(&f->one);
    master_close(&f->two);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    net_tls_unref(f->tls);
    free(f->ca);
    pki_free_key(f->ca_key);
    free(f);
    return 0;
}

static void it_registers_and_follows_the_three_streams(void **state)
{
    struct fixture *f = *state;
    start(f, f->one.address, NULL);
    run_until(&f->loop, f->one.pods != NULL && f->one.refs != NULL && f->one.routes != NULL);
    assert_int_equal(f->ready, 1);
    assert_string_equal(session_leader(f->session), f->one.address);
    master_order(f->one.pods, "ADDED",
                 "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'web','namespace':'default','uid':'u'}}");
    master_order(f->one.pods, NULL, NULL);
    master_order(f->one.refs, "DELETED",
                 "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'c','namespace':'default'}}");
    run_until(&f->loop, f->list_ends[SESSION_PODS] == 1 && strstr(f->seen, "1 deleted c") != NULL);
    assert_string_equal(f->seen, "0 added web;1 deleted c;");
    assert_int_equal(f->list_ends[SESSION_REFS], 0); /* no bookmark yet */
}

static void it_follows_the_leader_named_by_hello(void **state)
{
    struct fixture *f = *state;
    f->one.leads = false;
    snprintf(f->one.leader_address, sizeof f->one.leader_address, "%s", f->two.address);
    start(f, f->one.address, NULL);
    run_until(&f->loop, f->ready == 1);
    assert_int_equal(f->two.registrations, 1);
    assert_int_equal(f->one.registrations, 0);
}

static void a_master_that_cannot_be_reached_is_passed_over(void **state)
{
    struct fixture *f = *state;
    start(f, "127.0.0.1:1", f->two.address);
    run_until(&f->loop, f->ready == 1);
    assert_int_equal(f->two.registrations, 1);
}

static void after_a_lost_connection_the_lists_come_anew(void **state)
{
    struct fixture *f = *state;
    start(f, f->one.address, NULL);
    run_until(&f->loop, f->one.pods != NULL);
    master_hang_up(&f->one);
    run_until(&f->loop, f->ready == 2 && f->one.pods != NULL);
    assert_int_equal(f->lost, 1);
    assert_int_equal(f->lists[SESSION_PODS], 2);
}

static void an_expired_stream_is_opened_anew_on_the_same_connection(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    start(f, f->one.address, NULL);
    run_until(&f->loop, f->one.pods != NULL);
    error_set(&err, ERR_EXPIRED, "too old");
    rpc_stream_end(TAKE_PTR(f->one.pods), &err);
    run_until(&f->loop, f->one.pods != NULL);
    assert_int_equal(f->lists[SESSION_PODS], 2);
    assert_int_equal(f->one.registrations, 1);
}

static void a_stream_that_ends_with_not_leader_names_the_next_one(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    start(f, f->one.address, NULL);
    run_until(&f->loop, f->one.pods != NULL);
    f->one.leads = false;
    snprintf(f->one.leader_address, sizeof f->one.leader_address, "%s", f->two.address);
    error_set_field(&err, ERR_NOT_LEADER, f->two.address, "not the leader");
    rpc_stream_end(TAKE_PTR(f->one.pods), &err);
    run_until(&f->loop, f->two.registrations == 1);
}

static void a_heartbeat_finds_out_that_the_leadership_has_moved(void **state)
{
    struct fixture *f = *state;
    f->one.heartbeat_ms = 100;
    start(f, f->one.address, NULL);
    run_until(&f->loop, f->one.heartbeats >= 2);
    f->one.leads = false;
    snprintf(f->one.leader_address, sizeof f->one.leader_address, "%s", f->two.address);
    run_until(&f->loop, f->two.registrations == 1);
}

static void a_master_that_asks_is_told_the_node_again(void **state)
{
    struct fixture *f = *state;
    start(f, f->one.address, NULL);
    run_until(&f->loop, f->ready == 1);
    rpc_notify(f->one.agent, "node.refresh", STR("\x80"));
    run_until(&f->loop, f->one.registrations == 2);
    assert_int_equal(f->ready, 1);
}

/* ---- Several masters ---- */

static void each_master_has_a_link_and_hears_heartbeats(void **state)
{
    struct fixture *f = *state;
    f->one.heartbeat_ms = 100;
    f->two.leads = false;
    start(f, f->one.address, f->two.address);
    run_until(&f->loop, f->one.heartbeats >= 2 && f->two.heartbeats >= 2);
    assert_int_equal(f->one.registrations, 1);
    assert_int_equal(f->two.registrations, 0);
    assert_int_equal(f->two.connections, 1);
    assert_int_equal(session_links_up(f->session), 2);
    assert_string_equal(f->two.instance, "1f-3-2e");
}

static void answered(const struct rpc_result *r, void *data)
{
    assert_null(r->error);
    ++*(unsigned *)data;
}

static struct rpc_session *peer_of(struct fake_master *m)
{
    for (int i = 0; i < MASTER_PEERS; i++) {
        if (m->peers[i] != NULL) {
            return m->peers[i];
        }
    }
    fail_msg("no agent is connected");
    return NULL;
}

static void a_change_of_leader_moves_the_registration_and_no_connection(void **state)
{
    struct fixture *f = *state;
    unsigned answers = 0;
    f->one.term = 5;
    f->two.leads = false;
    start(f, f->one.address, f->two.address);
    run_until(&f->loop, f->one.pods != NULL && session_links_up(f->session) == 2);
    for (int64_t term = 6; term < 12; term++) {
        struct fake_master *next = term % 2 == 0 ? &f->two : &f->one, *former = term % 2 == 0 ? &f->one : &f->two;
        unsigned before = f->ready;
        former->leads = false;
        master_lead(next, term);
        run_until(&f->loop, f->ready == before + 1 && next->pods != NULL && next->refs != NULL && next->routes != NULL);
        run_until(&f->loop, former->pods == NULL && former->refs == NULL && former->routes == NULL);
        assert_string_equal(session_leader(f->session), next->address);
        rpc_call(peer_of(former), "anything", STR("\x80"), 0, answered, &answers); /* both still reach the node */
        rpc_call(peer_of(next), "anything", STR("\x80"), 0, answered, &answers);
        run_until(&f->loop, answers == 2 * (unsigned)(term - 5));
    }
    assert_int_equal(f->one.connections, 1);
    assert_int_equal(f->two.connections, 1);
    assert_int_equal(f->lost, 6);
}

static void an_old_leader_does_not_get_the_registration_back(void **state)
{
    struct fixture *f = *state;
    f->one.term = 5;
    f->one.heartbeat_ms = f->two.heartbeat_ms = 100;
    f->two.leads = false;
    start(f, f->one.address, f->two.address);
    run_until(&f->loop, f->one.pods != NULL && session_links_up(f->session) == 2);
    master_lead(&f->two, 6); /* the other one is cut off from the masters and does not know */
    run_until(&f->loop, f->two.pods != NULL);
    unsigned hellos = f->one.hellos;
    run_until(&f->loop, f->one.hellos >= hellos + 3);
    assert_string_equal(session_leader(f->session), f->two.address);
    assert_int_equal(f->two.registrations, 1);
    assert_int_equal(f->one.registrations, 1);
}

static void when_the_leader_dies_the_link_to_the_next_one_is_there(void **state)
{
    struct fixture *f = *state;
    f->two.leads = false;
    start(f, f->one.address, f->two.address);
    run_until(&f->loop, f->one.pods != NULL && session_links_up(f->session) == 2);
    f->one.leads = false;
    master_hang_up(&f->one);
    run_until(&f->loop, f->lost == 1);
    master_lead(&f->two, 7);
    run_until(&f->loop, f->ready == 2 && f->two.pods != NULL);
    assert_int_equal(f->two.connections, 1);
    run_until(&f->loop, f->one.connections == 2 && session_links_up(f->session) == 2);
}

static void masters_that_the_leader_names_are_linked_and_let_go(void **state)
{
    struct fixture *f = *state;
    f->two.leads = false;
    f->one.heartbeat_ms = 100;
    f->one.tells_masters[0] = f->one.address;
    f->one.tells_masters[1] = f->two.address;
    start(f, f->one.address, NULL);
    run_until(&f->loop, session_links_up(f->session) == 2);
    f->one.tells_masters[1] = f->one.address;
    run_until(&f->loop, session_links_up(f->session) == 1 && !master_has_peers(&f->two));
    unsigned hellos = f->one.hellos;
    run_until(&f->loop, f->one.hellos >= hellos + 3);
    assert_int_equal(f->two.connections, 1);
    assert_int_equal(f->lost, 0);
}

static void of_two_addresses_of_one_master_one_is_used(void **state)
{
    struct fixture *f = *state;
    f->two.id = f->one.id; /* the same master */
    start(f, f->one.address, f->two.address);
    run_until(&f->loop, f->ready == 1);
    struct fake_master *used = f->one.registrations > 0 ? &f->one : &f->two,
                       *spare = used == &f->one ? &f->two : &f->one;
    run_until(&f->loop, spare->hellos == 1 && !master_has_peers(spare));
    assert_int_equal(session_links_up(f->session), 1);
    used->leads = false;
    master_hang_up(used);
    run_until(&f->loop, f->ready == 2 && spare->registrations == 1);
}

static void an_agent_whose_name_is_taken_asks_again_and_does_nothing_else(void **state)
{
    struct fixture *f = *state;
    f->one.refuse_register = ERR_EXISTS;
    start(f, f->one.address, NULL);
    run_until(&f->loop, f->one.refusals >= 3);
    assert_int_equal(f->ready, 0);
    assert_int_equal(f->one.connections, 1);
    assert_null(f->one.pods);
    f->one.refuse_register = 0; /* the other one is gone */
    run_until(&f->loop, f->ready == 1 && f->one.pods != NULL);
}

static void one_late_answer_cuts_no_link_and_two_do(void **state)
{
    struct fixture *f = *state;
    f->one.heartbeat_ms = 100;
    start(f, f->one.address, NULL);
    run_until(&f->loop, f->one.heartbeats >= 1);
    unsigned hellos = f->one.hellos;
    f->one.hold_hellos = 1;
    run_until(&f->loop, f->one.held_count == 1);
    run_until(&f->loop, f->one.hellos > hellos + 1); /* the next one, which is answered */
    assert_int_equal(f->one.connections, 1);
    assert_int_equal(f->lost, 0);
    f->one.hold_hellos = 2;
    run_until(&f->loop, f->one.connections == 2 && f->ready == 2);
    assert_int_equal(f->lost, 1);
    for (unsigned i = 0; i < f->one.held_count; i++) {
        rpc_reply(f->one.held_hellos[i], STR("\x80")); /* too late for anybody */
    }
}

static void masters_learnt_in_a_former_life_are_found(void **state)
{
    struct fixture *f = *state;
    const char *masters[] = {"127.0.0.1:1", NULL}, *learnt[] = {f->two.address, NULL};
    f->learnt = learnt;
    start(f, masters[0], NULL);
    run_until(&f->loop, f->ready == 1);
    assert_int_equal(f->two.registrations, 1);
    f->two.heartbeat_ms = 100;
    f->two.tells_masters[0] = f->two.tells_masters[1] = f->two.address;
    rpc_notify(f->two.agent, "node.refresh", STR("\x80")); /* with the new period */
    run_until(&f->loop, f->masters_told == 1);
    unsigned hellos = f->two.hellos;
    run_until(&f->loop, f->two.hellos >= hellos + 3);
    assert_int_equal(f->masters_told, 1); /* the same list is told once */
}

static void refused(const struct rpc_result *r, void *data)
{
    assert_int_equal(r->error->code, ERR_CLOSED);
    *(bool *)data = true;
}

static void calls_without_a_leader_fail_later_and_not_at_once(void **state)
{
    struct fixture *f = *state;
    bool called = false;
    start(f, "127.0.0.1:1", NULL);
    session_call(f->session, "node.status", STR("\x80"), refused, &called);
    assert_false(called);
    run_until(&f->loop, called);
}

/* ---- Masters that serve agents without leading ---- */

static void start_served(struct fixture *f)
{
    f->one.tells_serves = f->one.serves = f->two.tells_serves = f->two.serves = true;
    f->one.heartbeat_ms = f->two.heartbeat_ms = 100;
    f->two.leads = false;
    f->one.term = f->two.term = 5;
    start(f, f->one.address, f->two.address);
    run_until(&f->loop, session_links_up(f->session) == 2 && f->ready > 0);
}

/* The one that it stays with: over so many heartbeats as it takes to go to a better one. */
static struct fake_master *home_of(struct fixture *f)
{
    unsigned beats = f->one.heartbeats, ready = 0;
    do {
        ready = f->ready;
        beats = f->one.heartbeats;
        run_until(&f->loop, f->one.heartbeats > beats + SESSION_MOVE_BEATS_MIN + SESSION_MOVE_BEATS + 1);
    } while (ready != f->ready);
    return strcmp(session_leader(f->session), f->one.address) == 0 ? &f->one : &f->two;
}

static void it_is_served_by_the_master_that_fits_and_comes_back_to_it(void **state)
{
    struct fixture *f = *state;
    start_served(f);
    struct fake_master *home = home_of(f), *other = home == &f->one ? &f->two : &f->one;
    assert_true(f->ready <= 2);
    assert_int_equal(f->one.of_any + f->two.of_any, f->ready);
    assert_true(home->pods != NULL && other->pods == NULL);
    unsigned there = other->registrations, here = home->registrations;
    home->serves = home->leads = false; /* it does not keep up with the others: its next hello says so */
    other->leads = true;
    run_until(&f->loop, other->registrations == there + 1 && other->pods != NULL && home->pods == NULL);
    home->serves = true;
    run_until(&f->loop, home->registrations == here + 1 && home->pods != NULL && other->pods == NULL);
    assert_int_equal(f->one.connections + f->two.connections, 2);
    assert_ptr_equal(home_of(f), home);
}

static void a_dead_masters_agent_goes_to_the_next_without_asking(void **state)
{
    struct fixture *f = *state;
    start_served(f);
    struct fake_master *home = home_of(f), *other = home == &f->one ? &f->two : &f->one;
    unsigned there = other->registrations;
    home->serves = home->leads = false;
    other->hold_hellos = 1; /* what it said last will do */
    master_hang_up(home);
    run_until(&f->loop, other->registrations == there + 1 && other->pods != NULL);
    for (unsigned i = 0; i < other->held_count; i++) {
        rpc_reply(other->held_hellos[i], STR("\x80"));
    }
}

static void a_change_of_leader_moves_no_agent_that_is_served(void **state)
{
    struct fixture *f = *state;
    start_served(f);
    struct fake_master *home = home_of(f), *other = home == &f->one ? &f->two : &f->one;
    home->leads = false;
    unsigned hellos = home->hellos, ready = f->ready;
    run_until(&f->loop, home->hellos >= hellos + 2); /* it has ceased to lead; it serves */
    for (int64_t term = 6; term < 12; term++) {
        master_lead(other, term);
        hellos = home->hellos;
        run_until(&f->loop, home->hellos >= hellos + 2);
    }
    assert_int_equal(f->ready, ready);
    assert_int_equal(f->lost, ready - 1);
    rpc_notify(peer_of(other), "node.refresh", STR("\x80")); /* the leader's call is answered where it registers */
    unsigned registrations = home->registrations;
    run_until(&f->loop, home->registrations == registrations + 1);
    assert_int_equal(f->ready, ready);
}

static void a_leader_that_stands_still_is_left_when_another_leads(void **state)
{
    struct fixture *f = *state;
    start_served(f);
    struct fake_master *home = home_of(f), *other = home == &f->one ? &f->two : &f->one;
    other->leads = false;
    master_lead(home, 6);
    unsigned there = other->registrations, hellos = home->hellos;
    run_until(&f->loop, home->hellos >= hellos + 2);
    home->hold_hellos = 1;
    master_lead(other, 7);
    run_until(&f->loop, other->registrations == there + 1 && other->pods != NULL);
    for (unsigned i = 0; i < home->held_count; i++) {
        rpc_reply(home->held_hellos[i], STR("\x80"));
    }
}

static void a_master_of_which_the_leader_does_not_hear_is_left(void **state)
{
    struct fixture *f = *state;
    start_served(f);
    struct fake_master *home = home_of(f), *other = home == &f->one ? &f->two : &f->one;
    CLEANUP_BUF struct buf b = BUF_INIT;
    unsigned there = other->registrations, ready = f->ready;
    mp_write_map(&b, 1);
    mp_write_key_int(&b, "master", home->id + other->id + 1);
    rpc_notify(peer_of(other), "node.unserved", buf_str(&b)); /* none of ours */
    buf_reset(&b);
    mp_write_map(&b, 1);
    mp_write_key_int(&b, "master", home->id);
    rpc_notify(peer_of(home), "node.unserved", buf_str(&b)); /* it speaks of itself */
    unsigned hellos = home->hellos;
    run_until(&f->loop, home->hellos >= hellos + 2);
    assert_int_equal(f->ready, ready);
    home->hold_hellos = 4; /* it stands still */
    rpc_notify(peer_of(other), "node.unserved", buf_str(&b));
    run_until(&f->loop, other->registrations == there + 1 && other->pods != NULL);
    for (unsigned i = 0; i < home->held_count; i++) {
        rpc_reply(home->held_hellos[i], STR("\x80"));
    }
    home->held_count = home->hold_hellos = 0;
}

static void masters_that_ask_together_are_told_the_node_once(void **state)
{
    struct fixture *f = *state;
    start_served(f);
    struct fake_master *home = home_of(f);
    unsigned registrations = home->registrations, hellos = home->hellos;
    for (int i = 0; i < 3; i++) {
        rpc_notify(peer_of(home), "node.refresh", STR("\x80"));
    }
    run_until(&f->loop, home->hellos >= hellos + 3);
    assert_int_equal(home->registrations, registrations + 1);
    rpc_notify(peer_of(home), "node.refresh", STR("\x80"));
    run_until(&f->loop, home->registrations == registrations + 2);
}

static void outcome(const struct rpc_result *r, void *data)
{
    *(int *)data = r->error == NULL ? 0 : r->error->code;
}

/* Reports go one after the other: one that hangs holds up all that come. */
static void a_call_to_a_master_that_stands_still_ends_when_it_is_left(void **state)
{
    struct fixture *f = *state;
    start_served(f);
    struct fake_master *home = home_of(f), *other = home == &f->one ? &f->two : &f->one;
    CLEANUP_BUF struct buf b = BUF_INIT;
    int codes[2] = {1, 1};
    unsigned there = other->registrations;
    home->hold_events = true;
    session_call(f->session, "node.events", STR("\x80"), outcome, &codes[0]);
    run_until(&f->loop, home->held_events != NULL);
    home->hold_hellos = 4;
    mp_write_map(&b, 1);
    mp_write_key_int(&b, "master", home->id);
    rpc_notify(peer_of(other), "node.unserved", buf_str(&b));
    run_until(&f->loop, other->registrations == there + 1 && other->pods != NULL);
    assert_int_equal(codes[0], ERR_UNKNOWN_OUTCOME);
    session_call(f->session, "node.events", STR("\x80"), outcome, &codes[1]);
    rpc_reply(home->held_events, STR("\x80")); /* late: nobody wants it any more */
    run_until(&f->loop, codes[1] != 1);
    assert_int_equal(codes[1], 0);
    assert_int_equal(codes[0], ERR_UNKNOWN_OUTCOME);
    for (unsigned i = 0; i < home->held_count; i++) {
        rpc_reply(home->held_hellos[i], STR("\x80"));
    }
    home->held_count = home->hold_hellos = 0;
}

static void when_its_orders_end_another_master_gives_them(void **state)
{
    struct fixture *f = *state;
    start_served(f);
    struct fake_master *home = home_of(f), *other = home == &f->one ? &f->two : &f->one;
    unsigned there = other->registrations;
    struct error err = {0};
    error_set(&err, ERR_NOT_LEADER, "this master does not keep up with the leader");
    home->serves = home->leads = false;
    rpc_stream_end(TAKE_PTR(home->pods), &err);
    run_until(&f->loop, other->registrations == there + 1 && other->pods != NULL);
    assert_int_equal(f->one.connections + f->two.connections, 2);
}

/* How many are served by the first master; all of them, if one is served by none at the moment. */
static unsigned nodes_at_one(const struct fixture *f, const struct fixture *nodes, unsigned count)
{
    unsigned at_one = 0;
    for (unsigned i = 0; i < count; i++) {
        if (!session_ready(nodes[i].session)) {
            return count;
        }
        at_one += strcmp(session_leader(nodes[i].session), f->one.address) == 0;
    }
    return at_one;
}

static void nodes_spread_over_the_masters(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"n2", "n3", "n4", "n5", "n6", "n7"};
    struct fixture nodes[ARRAY_SIZE(names)] = {0};
    unsigned at_one = 0;
    f->one.id = 1; /* whom a name fits best is always the same then */
    f->two.id = 2;
    f->one.many = f->two.many = true;
    start_served(f);
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        struct net_tls *tls = tls_of(f->ca, f->ca_key, PKI_ROLE_NODE, names[i]);
        const char *masters[] = {f->one.address, f->two.address, NULL};
        nodes[i].session = session_new(&(struct session_config){
            .loop = &f->loop,
            .tls = tls,
            .env = env_real(),
            .name = names[i],
            .instance = "1f-3-2e",
            .masters = masters,
            .events = {write_node, on_ready, on_lost, on_list_begin, on_object, on_list_end, on_routes, NULL, NULL,
                       on_masters, on_request},
            .data = &nodes[i],
        });
        net_tls_unref(tls);
        session_start(nodes[i].session);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        run_until(&f->loop, nodes[i].ready > 0 && session_links_up(nodes[i].session) == 2);
    }
    home_of(f);
    /* A node goes to the master that fits it best when it hears of it, so not all are there at once. */
    run_until(&f->loop, (at_one = nodes_at_one(f, nodes, ARRAY_SIZE(names))) > 0 && at_one < ARRAY_SIZE(names));
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        session_stop(nodes[i].session, on_stopped, &nodes[i]);
        run_until(&f->loop, nodes[i].stopped);
    }
    print_message("%u of %zu nodes at the first master\n", at_one, ARRAY_SIZE(names));
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH(it_registers_and_follows_the_three_streams),
        WITH(it_follows_the_leader_named_by_hello),
        WITH(a_master_that_cannot_be_reached_is_passed_over),
        WITH(after_a_lost_connection_the_lists_come_anew),
        WITH(an_expired_stream_is_opened_anew_on_the_same_connection),
        WITH(a_stream_that_ends_with_not_leader_names_the_next_one),
        WITH(a_heartbeat_finds_out_that_the_leadership_has_moved),
        WITH(a_master_that_asks_is_told_the_node_again),
        WITH(each_master_has_a_link_and_hears_heartbeats),
        WITH(a_change_of_leader_moves_the_registration_and_no_connection),
        WITH(an_old_leader_does_not_get_the_registration_back),
        WITH(when_the_leader_dies_the_link_to_the_next_one_is_there),
        WITH(masters_that_the_leader_names_are_linked_and_let_go),
        WITH(of_two_addresses_of_one_master_one_is_used),
        WITH(an_agent_whose_name_is_taken_asks_again_and_does_nothing_else),
        WITH(one_late_answer_cuts_no_link_and_two_do),
        WITH(masters_learnt_in_a_former_life_are_found),
        WITH(calls_without_a_leader_fail_later_and_not_at_once),
        WITH(it_is_served_by_the_master_that_fits_and_comes_back_to_it),
        WITH(a_dead_masters_agent_goes_to_the_next_without_asking),
        WITH(a_change_of_leader_moves_no_agent_that_is_served),
        WITH(a_leader_that_stands_still_is_left_when_another_leads),
        WITH(a_master_of_which_the_leader_does_not_hear_is_left),
        WITH(a_call_to_a_master_that_stands_still_ends_when_it_is_left),
        WITH(masters_that_ask_together_are_told_the_node_once),
        WITH(when_its_orders_end_another_master_gives_them),
        WITH(nodes_spread_over_the_masters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
