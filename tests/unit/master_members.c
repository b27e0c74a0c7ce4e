/* Membership as its users see it: masters that join, come back, are replaced and removed, on a cluster that goes on
 * working. */
#include "tests/unit/master_members.h"

/* ---- Coming back without one's data ---- */

static struct value *newcomer(struct kit *k, const char *address, const char *more)
{
    char *csr, *key;
    struct error err = {0};
    struct pki_identity who = {.role = PKI_ROLE_MASTER, .name = "joining"};
    assert_int_equal(pki_make_request(&who, &csr, &key, &err), 0);
    struct value *p = kit_doc(k, "{address: '%s', %s}", address, more);
    value_set(&k->arena, p, "csr", value_cstr(&k->arena, csr));
    free(csr);
    pki_free_key(key);
    return p;
}

static void test_a_master_that_lost_its_data_comes_back_as_another(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k), lost = (leader + 1) % 3, by = (leader + 2) % 3;
    struct client *c = client_admin(k, leader);
    char old[16];
    snprintf(old, sizeof old, "%u", lost + 1);
    struct client *self = client_as(k, by, PKI_ROLE_MASTER, old);
    struct value *p = newcomer(k, k->masters[lost].addr, "reason: damaged segment");
    assert_int_equal(call_value(self, "rejoin", p), ERR_BUSY); /* it runs */
    kit_stop(k, lost, SIGKILL);
    await_reachable(c, lost + 1, false);
    must_value(self, "rejoin", p);
    assert_int_equal(int_at(self, "id"), 4);
    assert_int_equal(int_at(self, "replaces"), lost + 1);
    assert_true(value_count(value_get(self->result, "masters")) == 3);
    assert_null(member(c, lost + 1));
    assert_non_null(member(c, 4));
    assert_false(votes(c, 4));
    /* The answer got lost: the same question again, with a certificate that counts for nothing else any more. */
    must_value(self, "rejoin", p);
    assert_int_equal(int_at(self, "id"), 5);
    assert_null(member(c, 4));
    assert_non_null(member(c, 5));
    for (int64_t until = kit_now() + KIT_WAIT_MS; call(self, "cluster", "{}") != ERR_FORBIDDEN; kit_turn(k, 50)) {
        assert_true(kit_now() < until);
    }
    struct client *node = client_as(k, by, PKI_ROLE_NODE, "n");
    assert_int_equal(call_value(node, "rejoin", p), ERR_FORBIDDEN);
    struct client *admin = client_admin(k, by);
    assert_int_equal(call_value(admin, "rejoin", p), ERR_FORBIDDEN);
    must(c, "master.remove", "{id: 5}");
    assert_null(member(c, 5));
    assert_int_equal(call_value(self, "rejoin", p), ERR_FORBIDDEN);
    client_close(admin);
    client_close(node);
    client_close(self);
    client_close(c);
}

/* ---- Removal ---- */

static void test_a_removed_master_says_so_and_stops_and_stays_stopped(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k), gone = (leader + 1) % 3, by = (leader + 2) % 3;
    struct client *c = client_admin(k, by);
    char old[16], text[160], path[300];
    snprintf(old, sizeof old, "%u", gone + 1);
    must(c, "master.remove", "{id: %u, force: true}", gone + 1);
    assert_null(member(c, gone + 1));
    assert_int_equal(kit_wait_end(k, gone), 3);
    CLEANUP_FREE char *log = kit_log(k, gone), *said = NULL;
    snprintf(text, sizeof text, "this master (id %u) was removed from the cluster", gone + 1);
    expect_said(log, text);
    snprintf(path, sizeof path, "%s/removed", k->masters[gone].dir);
    assert_int_equal(access(path, F_OK), 0);
    const char *run[] = {"run", "--dir", k->masters[gone].dir, NULL};
    assert_int_equal(kit_run(k, &said, run), 3);
    expect_said(said, text);
    free(TAKE_PTR(said));
    const char *join[] = {"join",
                          "--dir",
                          k->masters[gone].dir,
                          "--token",
                          "a.b@00000000000000000000000000000000",
                          k->masters[leader].addr,
                          NULL};
    assert_int_equal(kit_run(k, &said, join), 1);
    expect_said(said, "removed from its cluster");
    struct client *self = client_as(k, leader, PKI_ROLE_MASTER, old);
    refused(self, ERR_FORBIDDEN, "was removed from the cluster", "list", "{kind: Secret}");
    refused(self, ERR_FORBIDDEN, "was removed from the cluster", "list",
            "{kind: Secret, as: {user: x, groups: ['system:masters']}}");
    must(c, "master.remove", "{id: %u}", gone + 1); /* once more is once */
    client_close(self);
    client_close(c);
}

/* A master that was made the only one by force, by mistake, takes all others for removed. */
static void test_a_member_that_has_a_leader_does_not_believe_that_it_was_removed(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k), other = (leader + 1) % 3;
    struct client *c = client_admin(k, leader);
    struct client *liar = client_as_raft(k, other, (unsigned)((leader + 2) % 3 + 1));
    kit_stop(k, (leader + 2) % 3, SIGKILL);
    struct buf b = BUF_INIT;
    msgpack_write_value(&b, kit_doc(k, "{id: %u}", other + 1));
    must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: before}}}");
    for (unsigned i = 0; i < 3; i++) {
        uv_update_time(&k->loop);
        assert_int_equal(rpc_notify(liar->rpc, "removed", buf_str(&b)), 0);
        kit_turn(k, 50);
    }
    buf_close(&b);
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 50)) {
        CLEANUP_FREE char *log = kit_log(k, other);
        if (strstr(log, "not believed") != NULL) {
            break;
        }
        assert_true(kit_now() < until);
    }
    must(c, "create",
         "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: after}}}"); /* two of three are needed */
    client_close(liar);
    client_close(c);
}

static void test_a_master_removed_while_it_was_away_hears_it_when_it_comes_back(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k), gone = (leader + 1) % 3;
    struct client *c = client_admin(k, leader);
    kit_stop(k, gone, SIGKILL);
    must(c, "master.remove", "{id: %u}", gone + 1); /* no reserve is lost: it was gone */
    kit_start(k, gone);
    assert_int_equal(kit_wait_end(k, gone), 3);
    must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: undisturbed}}}");
    client_close(c);
}

static void test_removals_that_would_stop_the_cluster_are_refused(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k), a = (leader + 1) % 3, b = (leader + 2) % 3;
    struct client *c = client_admin(k, leader);
    refused(c, ERR_CONFLICT, "could lose no master any more", "master.remove", "{id: %u}", a + 1);
    refused(c, ERR_USAGE, "transfer the leadership first", "master.remove", "{id: %u, force: true}", leader + 1);
    refused(c, ERR_NOT_FOUND, "no master has the id 77", "master.remove", "{id: 77}");
    refused(c, ERR_USAGE, "number", "master.remove", "{id: x}");
    kit_stop(k, a, SIGKILL);
    await_reachable(c, a + 1, false);
    refused(c, ERR_CONFLICT, "would stand still", "master.remove", "{id: %u, force: true}", b + 1);
    must(c, "master.remove", "{id: %u}", a + 1);
    must(c, "master.remove", "{id: %u}", b + 1); /* of two: there is no reserve to lose */
    assert_int_equal(kit_wait_end(k, b), 3);
    refused(c, ERR_USAGE, "only voter", "master.remove", "{id: %u, force: true}", leader + 1);
    must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: alone}}}");
    client_close(c);
}

static void test_ids_are_never_given_twice(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k), gone = (leader + 1) % 3;
    struct client *c = client_admin(k, leader);
    must(c, "master.remove", "{id: %u, force: true}", gone + 1);
    assert_int_equal(kit_wait_end(k, gone), 3);
    must(c, "patch",
         "{kind: ConfigMap, namespace: kube-system, name: reeve-cluster, type: merge, patch: {data: {nextMasterId: '1',"
         " removedMasters: ''}}}");
    unsigned i = must_join(k, c, "{role: master}");
    assert_int_equal(id_of(k, i), 4);
    must(c, "master.remove", "{id: 4}"); /* it never came */
    must(c, "patch",
         "{kind: ConfigMap, namespace: kube-system, name: reeve-cluster, type: merge, patch: {data: {nextMasterId: "
         "'1'}}}");
    i = must_join(k, c, "{role: master}");
    assert_int_equal(id_of(k, i), 5);
    kit_start(k, i);
    await_members(c, (int64_t[]){leader + 1, (leader + 2) % 3 + 1, 5}, 3);
    /* Who calls a member removed by editing the record does not stop it. */
    must(c, "patch",
         "{kind: ConfigMap, namespace: kube-system, name: reeve-cluster, type: merge, patch: {data: {removedMasters: "
         "'1-5'}}}");
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 50)) {
        must(c, "get", "{kind: ConfigMap, namespace: kube-system, name: reeve-cluster}");
        if (strcmp(text_at(c, "object.data.removedMasters"), "1-5") != 0) {
            break;
        }
        assert_true(kit_now() < until);
    }
    await_reachable(c, 5, true);
    client_close(c);
}

/* ---- Joining ---- */

static void test_a_large_state_reaches_a_newcomer_by_snapshot_while_writes_go_on(void **state)
{
    static const char *const args[] = {"--snapshot-entries", "100", NULL};
    struct kit *k = kit_three(args);
    (void)state;
    struct client *c = client_admin(k, kit_leader(k));
    char *filler = arena_alloc(&k->arena, 20001);
    memset(filler, 'x', 20000);
    filler[20000] = '\0';
    for (unsigned i = 0; i < 400; i++) { /* 8 MB: many chunks */
        filler[i % 20000] = (char)('a' + i % 26);
        must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: big%u}, data: {v: %s%u}}}", i,
             filler, i);
    }
    must(c, "cluster", "{}");
    assert_true(int_at(c, "stats.snapshots") > 0);
    struct writer w[6];
    load_start(k, w, 6, (unsigned[]){0, 1, 2}, 3);
    int64_t began = kit_now();
    unsigned i = must_join(k, c, "{role: master}");
    kit_start(k, i);
    await_voter(c, 4);
    int64_t took = kit_now() - began;
    struct client *there = client_admin(k, i);
    unsigned total = load_end(w, 6, there);
    print_message("a vote %lld ms after `join`, with %u writes acknowledged meanwhile\n", (long long)took, total);
    assert_true(total > 20);
    must(there, "cluster", "{}");
    assert_true(int_at(there, "stats.restores") > 0);
    must(there, "get", "{kind: ConfigMap, name: big399, stale: true}");
    client_close(there);
    client_close(c);
    kit_free(k);
}

struct pending {
    bool done;
    int code;
    int64_t id;
    char text[ERROR_MESSAGE_MAX];
};

static void join_answered(const struct rpc_result *r, void *data)
{
    struct pending *p = data;
    p->done = true;
    p->code = r->error == NULL ? 0 : r->error->code;
    p->id = r->error == NULL ? mp_int(mp_get(r->result, "id"), 0) : 0;
    snprintf(p->text, sizeof p->text, "%s", r->error == NULL ? "" : r->error->message);
}

static void join_send(struct client *c, const struct value *params, struct pending *p)
{
    struct buf b = BUF_INIT;
    *p = (struct pending){0};
    msgpack_write_value(&b, params);
    rpc_call(c->rpc, "join", buf_str(&b), KIT_WAIT_MS, join_answered, p);
    buf_close(&b);
}

static void test_joins_at_once_are_done_one_after_another_and_repeats_count_once(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k);
    struct client *c = client_admin(k, leader), *s[4];
    must(c, "token", "{role: master, uses: 3}");
    const char *more = arena_printf(&k->arena, "role: master, name: m, token: '%.23s'", text_at(c, "token"));
    struct pending p[4];
    struct value *who[3];
    for (unsigned i = 0; i < 3; i++) {
        who[i] = newcomer(k, arena_printf(&k->arena, "127.0.0.1:%u", 40001 + i), more);
    }
    for (unsigned i = 0; i < 4; i++) { /* two of them the same, through all masters */
        s[i] = client_as(k, i % 3, PKI_ROLE_NONE, "");
        must(s[i], "hello", "{}");
        join_send(s[i], who[i % 3], &p[i]);
    }
    unsigned good = 0;
    for (unsigned i = 0; i < 4; i++) {
        kit_until(k, &p[i].done, "the answer to a join");
        good += p[i].code == 0;
        if (p[i].code != 0 && p[i].code != ERR_CANCELED) {
            fail_msg("join %u: %s: %s", i, err_reason(p[i].code), p[i].text);
        }
        for (unsigned j = 0; j < i; j++) {
            assert_true(p[i].id == 0 || p[i].id != p[j].id);
        }
    }
    assert_true(good >= 3);
    must(c, "cluster", "{}");
    assert_int_equal(value_count(value_get(c->result, "members")), 6); /* nobody is in twice */
    for (unsigned i = 0; i < 4; i++) {
        client_close(s[i]);
    }
    client_close(c);
}

static void test_a_join_that_cannot_be_says_what_to_do(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k);
    struct client *c = client_admin(k, leader);
    CLEANUP_FREE char *said = NULL;
    must(c, "token", "{role: master}");
    const char *token = text_at(c, "token"), *timeout[] = {"--timeout", "3", NULL};
    k->run_args = timeout;
    assert_int_equal(kit_join_at(k, "127.0.0.1:1", token, &said), 1);
    expect_said(said, "look at the addresses");
    free(TAKE_PTR(said));
    kit_stop(k, (leader + 1) % 3, SIGKILL);
    kit_stop(k, (leader + 2) % 3, SIGKILL);
    k->masters_count = 3;
    assert_int_equal(kit_join_at(k, k->masters[leader].addr, token, &said), 1);
    expect_said(said, "Nothing is left half: type the same again");
    kit_start(k, (leader + 1) % 3);
    k->masters_count = 3;
    free(TAKE_PTR(said));
    timeout[1] = "30"; /* the same again, and the cluster has its majority */
    if (kit_join_at(k, k->masters[leader].addr, token, &said) != 0) {
        fail_msg("join: %s", said);
    }
    kit_start(k, (leader + 2) % 3);
    kit_start(k, 3);
    int64_t id = id_of(k, 3);
    await_members(c, (int64_t[]){1, 2, 3, id}, 4);
    client_close(c);
}

/* ---- Replacement ---- */

/* One command for a dead master, typed as rctl prints it. */
static void replace_dead(struct kit *k, unsigned count)
{
    unsigned leader = kit_leader(k), dead = (leader + 1) % count;
    struct client *c = client_admin(k, leader);
    struct writer w[6];
    unsigned alive[4], n = 0;
    for (unsigned i = 0; i < count; i++) {
        if (i != dead) {
            alive[n++] = i;
        }
    }
    load_start(k, w, 6, alive, n);
    kit_stop(k, dead, SIGKILL);
    await_reachable(c, dead + 1, false);
    int64_t began = kit_now();
    unsigned i = must_join(k, c, arena_printf(&k->arena, "{role: master, replaces: %u}", dead + 1));
    assert_null(member(c, dead + 1));
    kit_start(k, i);
    await_voter(c, count + 1);
    print_message("%u masters: a dead one replaced in %lld ms\n", count, (long long)(kit_now() - began));
    struct client *there = client_admin(k, i);
    assert_true(load_end(w, 6, there) > 20);
    must(c, "cluster", "{}");
    assert_int_equal(value_count(value_get(c->result, "members")), count);
    assert_int_equal(int_at(c, "canLose"), (count - 1) / 2);
    kit_start(k, dead); /* it comes back from the dead, and hears it */
    assert_int_equal(kit_wait_end(k, dead), 3);
    client_close(there);
    client_close(c);
}

static void test_a_dead_one_of_three_is_replaced_under_load(void **state)
{
    replace_dead(*state, 3);
}

static void test_a_dead_one_of_five_is_replaced_under_load(void **state)
{
    (void)state;
    struct kit *k = kit_five();
    replace_dead(k, 5);
    kit_free(k);
}

static void test_the_same_machine_takes_its_own_place(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k), dead = (leader + 1) % 3;
    struct client *c = client_admin(k, leader);
    kit_stop(k, dead, SIGKILL);
    await_reachable(c, dead + 1, false);
    snprintf(k->masters[3].addr, sizeof k->masters[3].addr, "%s", k->masters[dead].addr);
    unsigned i = must_join(k, c, arena_printf(&k->arena, "{role: master, replaces: %u}", dead + 1));
    kit_start(k, i);
    await_members(c, (int64_t[]){leader + 1, (leader + 2) % 3 + 1, 4}, 3);
    client_close(c);
}

static void test_a_living_master_goes_when_its_successor_votes(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k), old = leader; /* even the leader */
    struct client *c = client_admin(k, (leader + 1) % 3);
    refused(c, ERR_CONFLICT, "is up", "token", "{role: master, replaces: %u}", old + 1);
    refused(c, ERR_NOT_FOUND, "no master has the id 9", "token", "{role: master, replaces: 9}");
    refused(c, ERR_USAGE, NULL, "token", "{role: node, replaces: 1}");
    must(c, "token", "{role: master, replaces: %u, evenReachable: true}", old + 1);
    const char *token = text_at(c, "token");
    CLEANUP_FREE char *said = NULL;
    if (kit_join_at(k, addresses(k), token, &said) != 0) {
        fail_msg("join: %s", said);
    }
    expect_said(said, "takes the place of master");
    assert_true(votes(c, old + 1)); /* still */
    free(TAKE_PTR(said));
    /* The token was for one. */
    assert_int_equal(kit_join_at(k, addresses(k), token, &said), 1);
    expect_said(said, "this token was used up");
    k->masters_count--;
    kit_start(k, 3);
    assert_int_equal(kit_wait_end(k, old), 3);
    await_members(c, (int64_t[]){(leader + 1) % 3 + 1, (leader + 2) % 3 + 1, 4}, 3);
    client_close(c);
}

static void test_a_replaced_master_that_answers_again_is_not_removed_behind_ones_back(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k), dead = (leader + 1) % 3;
    struct client *c = client_admin(k, leader);
    kit_stop(k, dead, SIGKILL);
    await_reachable(c, dead + 1, false);
    must(c, "token", "{role: master, replaces: %u}", dead + 1);
    const char *token = text_at(c, "token");
    kit_start(k, dead);
    await_reachable(c, dead + 1, true);
    CLEANUP_FREE char *said = NULL;
    assert_int_equal(kit_join_at(k, addresses(k), token, &said), 1);
    expect_said(said, "answers again");
    must(c, "cluster", "{}");
    assert_int_equal(value_count(value_get(c->result, "members")), 3);
    k->masters_count--;
    client_close(c);
}

/* ---- At the command line ---- */

/* `master transfer ID` to a master that leads, or does not, as `leads` says. An election may come in between, on a
 * machine that stands still: then once more. */
static void transfer_until(struct kit *k, bool leads)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS;; assert_true(kit_now() < until)) {
        unsigned leader = kit_leader(k), to = leads ? leader : (leader + 1) % 3;
        const char *id = arena_printf(&k->arena, "%u", to + 1);
        CLEANUP_FREE char *said = NULL;
        int code = kit_rctl(k, &said, (const char *const[]){"master", "transfer", id, NULL});
        if (code == 0 && strstr(said, leads ? arena_printf(&k->arena, "master %u leads already", to + 1)
                                            : arena_printf(&k->arena, "master %u leads now, instead of master %u",
                                                           to + 1, leader + 1)) != NULL) {
            return;
        }
        print_message("once more: %s", said);
    }
}

static void transfers_to_whom_it_is_told(struct kit *k)
{
    transfer_until(k, false);
    transfer_until(k, true);
}

static void test_rctl_lists_adds_transfers_replaces_and_removes(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 2);
    rctl_ok(k, "knows 1 of the 3 masters", "master", "list");
    rctl_ok(k, "knows 3 masters now", "config", "set-servers");
    char *list = rctl_ok(k, "it can lose 1 more", "master", "list");
    expect_said(list, "LAG");
    assert_null(strstr(list, "set-servers"));
    rctl_ok(k, "\"canLose\": 1", "master", "list", "-o", "json");
    transfers_to_whom_it_is_told(k);
    rctl_ok(k, "leads now", "master", "transfer");
    rctl_fails(k, 5, "no master has the id 9", "master", "transfer", "9");
    rctl_fails(k, 5, "no master has the id 9", "master", "replace", "9");
    rctl_fails(k, 3, "--force", "master", "remove", "3");
    rctl_fails(k, 2, "is no master's id", "master", "remove", "m3");
    rctl_fails(k, 2, "ttl", "master", "add", "--ttl", "x");
    /* The line as printed, but for the program's directory. */
    char *line = rctl_ok(k, "\"join\"", "master", "add", "--listen", "127.0.0.1:1", "-o", "json");
    expect_said(line, arena_printf(&k->arena, "--token-file - %s,%s,%s", k->masters[0].addr, k->masters[1].addr,
                                   k->masters[2].addr));
    unsigned dead = (kit_leader(k) + 1) % 3;
    const char *dead_id = arena_printf(&k->arena, "%u", dead + 1);
    rctl_fails(k, 3, "--yes", "master", "replace", dead_id);
    kit_stop(k, dead, SIGKILL);
    if (dead == 2) {
        client_close(c);
        c = client_admin(k, 0);
    }
    await_reachable(c, dead + 1, false);
    snprintf(k->masters[3].addr, sizeof k->masters[3].addr, "127.0.0.1:%u", kit_free_port());
    line = rctl_ok(k, "reeve-master join", "master", "replace", dead_id, "--listen", k->masters[3].addr);
    char *echo = strstr(line, "echo "), *at = strchr(echo + 5, ' ');
    const char *token = arena_strndup(&k->arena, echo + 5, (size_t)(at - echo - 5));
    CLEANUP_FREE char *said = NULL;
    if (kit_join_at(k, addresses(k), token, &said) != 0) {
        fail_msg("join: %s", said);
    }
    kit_start(k, 3);
    await_voter(c, 4);
    unsigned leader = kit_leader(k); /* of a leader: another one takes over by itself */
    const char *leader_id = arena_printf(&k->arena, "%lld", (long long)id_of(k, leader));
    rctl_ok(k, "another one takes over first", "master", "remove", leader_id, "--force");
    assert_int_equal(kit_wait_end(k, leader), 3);
    rctl_ok(k, "2 of 2 voters are up: it can lose 0 more", "master", "list");
    client_close(c);
}

/* Each time the leader hands over first, and the next one must judge who answers when it has led for a moment only. */
static void test_leaders_are_removed_one_after_another(void **state)
{
    (void)state;
    struct kit *k = kit_five();
    rctl_ok(k, "knows 5 masters now", "config", "set-servers");
    for (unsigned voters = 4; voters >= 2; voters--) {
        unsigned leader = kit_leader(k);
        const char *id = arena_printf(&k->arena, "%lld", (long long)id_of(k, leader));
        rctl_ok(k, "another one takes over first", "master", "remove", id, "--force");
        assert_int_equal(kit_wait_end(k, leader), 3);
        rctl_ok(k, arena_printf(&k->arena, "%u of %u voters are up", voters, voters), "master", "list");
    }
    kit_free(k);
}

int main(void)
{
#define ON_THREE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ON_THREE(test_a_master_that_lost_its_data_comes_back_as_another),
        ON_THREE(test_a_removed_master_says_so_and_stops_and_stays_stopped),
        ON_THREE(test_a_member_that_has_a_leader_does_not_believe_that_it_was_removed),
        ON_THREE(test_a_master_removed_while_it_was_away_hears_it_when_it_comes_back),
        ON_THREE(test_removals_that_would_stop_the_cluster_are_refused),
        ON_THREE(test_ids_are_never_given_twice),
        cmocka_unit_test(test_a_large_state_reaches_a_newcomer_by_snapshot_while_writes_go_on),
        ON_THREE(test_joins_at_once_are_done_one_after_another_and_repeats_count_once),
        ON_THREE(test_a_join_that_cannot_be_says_what_to_do),
        ON_THREE(test_a_dead_one_of_three_is_replaced_under_load),
        cmocka_unit_test(test_a_dead_one_of_five_is_replaced_under_load),
        ON_THREE(test_the_same_machine_takes_its_own_place),
        ON_THREE(test_a_living_master_goes_when_its_successor_votes),
        ON_THREE(test_a_replaced_master_that_answers_again_is_not_removed_behind_ones_back),
        ON_THREE(test_rctl_lists_adds_transfers_replaces_and_removes),
        cmocka_unit_test(test_leaders_are_removed_one_after_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
