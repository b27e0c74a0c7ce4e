/* Backups as a user makes them: under load, by slow, dying and too many readers, from masters that fail, without a
 * quorum. */
#include "tests/unit/kit/backup_kit.h"

static int set_up_one(void **state)
{
    *state = kit_one(NULL);
    return 0;
}

static int set_up_three(void **state)
{
    *state = kit_three(NULL);
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

/* ---- Under load ---- */

#define ACCOUNTS 20

/* One transfer, as one transaction. Only this test writes, so it knows what is there. */
static void transfer(struct client *c, int64_t balance[ACCOUNTS], struct rng *rng)
{
    unsigned a = (unsigned)rng_below(rng, ACCOUNTS), b = (a + 1 + (unsigned)rng_below(rng, ACCOUNTS - 1)) % ACCOUNTS;
    int64_t sum = (int64_t)rng_below(rng, 100);
    balance[a] -= sum;
    balance[b] += sum;
    static const char op[] =
        "{op: update, object: {apiVersion: v1, kind: ConfigMap, metadata: {name: acct-%u, namespace: "
        "default}, data: {balance: '%lld', n: '%llu'}}}";
    char one[300], other[300];
    snprintf(one, sizeof one, op, a, (long long)balance[a], (unsigned long long)rng_next(rng));
    snprintf(other, sizeof other, op, b, (long long)balance[b], (unsigned long long)rng_next(rng));
    must(c, "txn", "{ops: [%s, %s]}", one, other);
}

/* The accounts as the watch told them up to a revision. */
static void replay(struct kit *k, struct stream *w, int64_t revision, int64_t balance[ACCOUNTS])
{
    for (unsigned i = 0; i < w->count; i++) {
        if (value_path_int(w->items[i], "revision", 0) > revision) {
            return;
        }
        const struct value *events = value_get(w->items[i], "events");
        VALUE_FOR(j, events)
        {
            unsigned n;
            const char *name = value_text(k, value_item(events, j), "object.metadata.name");
            if (sscanf(name, "acct-%u", &n) == 1) {
                balance[n] = strtoll(value_text(k, value_item(events, j), "object.data.balance"), NULL, 10);
            }
        }
    }
}

static void a_backup_under_load_is_the_state_at_exactly_its_revision(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k);
    struct client *c = client_admin(k, leader), *watcher = client_admin(k, leader);
    struct rng rng = {11};
    int64_t balance[ACCOUNTS] = {0}, at[ACCOUNTS] = {0};
    struct stream *w = stream_open(watcher, "watch", "{kind: ConfigMap, namespace: default}");
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        must(c, "create",
             "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: acct-%u, namespace: default}, data: "
             "{balance: '0'}}}",
             i);
    }
    const char *args[] = {"backup",           "save",     in_dir(k, "load.rvb"),           "--passphrase-file",
                          passphrase_file(k), "--config", config_for(k, (leader + 1) % 3), NULL};
    pid_t pid = start_program("rctl", NULL, in_dir(k, "save.out"), args);
    int rc = -1;
    unsigned transfers = 0;
    for (int64_t until = kit_now() + 3 * KIT_WAIT_MS; !is_over(pid, &rc); transfers++) {
        assert_true(kit_now() < until);
        transfer(c, balance, &rng);
    }
    assert_int_equal(rc, 0);
    for (unsigned i = 0; i < 20; i++) {
        transfer(c, balance, &rng);
    }
    int64_t last = int_at(c, "revision"), revision = value_path_int(show(k, in_dir(k, "load.rvb")), "revision", 0);
    assert_true(revision < last && transfers > 0);
    while (w->count == 0 || value_path_int(w->items[w->count - 1], "revision", 0) < last) {
        kit_turn(k, 100);
    }
    replay(k, w, revision, at);
    stream_close(w);
    client_close(c);
    client_close(watcher);
    kill_all(k);

    unsigned r = restored(k, in_dir(k, "load.rvb"));
    kit_start(k, r);
    kit_leader(k);
    c = client_admin(k, r);
    int64_t sum = 0;
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        must(c, "get", "{kind: ConfigMap, namespace: default, name: acct-%u}", i);
        int64_t is = strtoll(text_at(c, "object.data.balance"), NULL, 10);
        assert_int_equal(is, at[i]);
        sum += is;
    }
    assert_int_equal(sum, 0);
    client_close(c);
}

/* ---- Readers that are slow, gone, too many ---- */

/* More state than fits between a master and a reader that stands still. */
static void fill(struct kit *k, struct client *c, unsigned megabytes)
{
    struct rng rng = {3};
    for (unsigned i = 0; i < megabytes; i++) {
        struct buf text = BUF_INIT;
        while (text.size < 900000) {
            buf_printf(&text, "%016llx", (unsigned long long)rng_next(&rng));
        }
        struct value *params = kit_doc(
            k, "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: big-%u, namespace: default}, data: {}}}",
            i);
        value_set(&k->arena, value_get(value_get(params, "object"), "data"), "k", value_str(&k->arena, buf_str(&text)));
        must_value(c, "create", params);
        buf_close(&text);
    }
}

static struct stream *held(struct client *c)
{
    struct stream *s = stream_open(c, "backup", "{}");
    s->hold = s->count_only = true;
    kit_until(c->kit, &s->open, "a backup to begin");
    return s;
}

static void two_at_a_time_and_a_reader_that_goes_frees_its_place(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0), *going = client_admin(k, 0);
    fill(k, c, 12);
    struct stream *one = held(c), *two = held(going);
    refused(c, ERR_BUSY, "2 backups are being made", "backup", "{}");
    /* Both stand still; writes go on all the same. */
    must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: meanwhile, namespace: default}}}");
    assert_false(one->ended || two->ended);
    client_close(going);
    stream_wait_end(two);
    stream_close(two);
    struct stream *three = NULL;
    for (int64_t until = kit_now() + KIT_WAIT_MS; three == NULL || three->ended;) {
        assert_true(kit_now() < until);
        if (three != NULL) {
            stream_close(three);
        }
        three = stream_open(c, "backup", "{}");
        three->count_only = true;
        while (!three->open && !three->ended) {
            kit_turn(k, 50);
        }
    }
    stream_release(one);
    stream_wait_end(one);
    assert_int_equal(one->end.code, 0);
    assert_true(one->bytes > 3u << 20);
    stream_close(one);
    stream_wait_end(three);
    assert_int_equal(three->end.code, 0);
    stream_close(three);
    client_close(c);
}

static void only_administrators_may_have_one(void **state)
{
    struct kit *k = *state;
    struct client *node = client_as(k, 0, PKI_ROLE_NODE, "n1"), *nobody = client_as(k, 0, PKI_ROLE_NONE, "");
    refused(node, ERR_FORBIDDEN, NULL, "backup", "{}");
    refused(nobody, ERR_UNAUTHORIZED, NULL, "backup", "{}");
    client_close(node);
    client_close(nobody);
    struct client *c = client_admin(k, 0);
    refused(c, ERR_USAGE, "unknown parameter", "backup", "{passphrase: x}");
    client_close(c);
}

static void without_a_quorum_a_stale_backup_can_be_had(void **state)
{
    struct kit *k = *state;
    const char *said, *file = in_dir(k, "stale.rvb");
    kit_stop(k, 0, SIGKILL);
    kit_stop(k, 1, SIGKILL);
    int rc = save(k, 2, file, NULL, &said);
    assert_int_not_equal(rc, 0);
    assert_int_equal(access(file, F_OK), -1);
    if (save(k, 2, file, "--stale", &said) != 0) {
        fail_msg("%s", said);
    }
    assert_non_null(strstr(said, "stale"));
    assert_true(value_path_bool(show(k, file), "stale", false));
    /* Without the CA's key in it nobody comes back with an old certificate, and nobody is told so. */
    assert_int_equal(restore(k, new_place(k), file, NULL, &said), 0);
    assert_non_null(strstr(said, "nodes have to join anew"));
    assert_null(strstr(said, "come back by themselves"));
    assert_null(strstr(said, "stay good"));
}

/* ---- Broken off ---- */

static void restart_with(struct kit *k, unsigned i, const char *failpoints)
{
    kit_stop(k, i, SIGTERM);
    const char *args[] = {"run", "--dir", k->masters[i].dir, NULL};
    k->masters[i].pid = start_program("tests/reeve-master", failpoints, k->masters[i].log, args);
    kit_leader(k);
}

static void a_backup_that_breaks_off_says_so_and_leaves_only_a_beginning(void **state)
{
    struct kit *k = *state;
    const char *said, *file = in_dir(k, "cut.rvb");
    struct client *c = client_admin(k, 0);
    fill(k, c, 6);
    client_close(c);
    restart_with(k, 0, "backup_piece=error@5");
    assert_int_equal(save(k, 0, file, NULL, &said), 1);
    if (strstr(said, "the backup broke off after") == NULL || strstr(said, "cut.rvb.partial is no backup") == NULL) {
        fail_msg("%s", said);
    }
    assert_int_equal(access(file, F_OK), -1);
    assert_int_equal(access(in_dir(k, "cut.rvb.partial"), F_OK), 0);
    if (save(k, 0, file, NULL, &said) !=
        0) { /* the same command again, and the same master: it has let go of the first */
        fail_msg("%s", said);
    }
    assert_int_equal(save(k, 0, file, NULL, &said), 3);
    assert_non_null(strstr(said, "exists; give another name, or --force"));
    restart_with(k, 0, "backup_piece=crash@5");
    assert_int_not_equal(save(k, 0, in_dir(k, "crash.rvb"), NULL, &said), 0);
    assert_int_equal(access(in_dir(k, "crash.rvb"), F_OK), -1);
    int rc = -1;
    for (int64_t until = kit_now() + KIT_WAIT_MS; !is_over(k->masters[0].pid, &rc);) {
        assert_true(kit_now() < until);
        kit_turn(k, 20);
    }
    assert_int_equal(rc, 128 + SIGKILL);
    k->masters[0].pid = 0;
}

static void a_passphrase_must_come_from_a_file_or_a_terminal_and_be_long_enough(void **state)
{
    struct kit *k = *state;
    const char *said, *args[] = {"backup", "save", in_dir(k, "x.rvb"), "--config", config_for(k, 0), NULL, NULL, NULL};
    assert_int_equal(run(k, "rctl", NULL, &said, args), 2);
    assert_non_null(strstr(said, "--passphrase-file FILE"));
    args[5] = "--passphrase-file";
    args[6] = in_dir(k, "short");
    put_file(args[6], "1234567\n", 8);
    assert_int_equal(run(k, "rctl", NULL, &said, args), 1);
    assert_non_null(strstr(said, "too short"));
    put_file(args[6], "\n", 1);
    assert_int_equal(run(k, "rctl", NULL, &said, args), 1);
    assert_non_null(strstr(said, "is empty"));
    assert_int_equal(access(in_dir(k, "x.rvb.partial"), F_OK), -1);
}

int main(void)
{
#define ONE(f)   cmocka_unit_test_setup_teardown(f, set_up_one, tear_down)
#define THREE(f) cmocka_unit_test_setup_teardown(f, set_up_three, tear_down)
    const struct CMUnitTest tests[] = {
        THREE(a_backup_under_load_is_the_state_at_exactly_its_revision),
        ONE(two_at_a_time_and_a_reader_that_goes_frees_its_place),
        ONE(only_administrators_may_have_one),
        THREE(without_a_quorum_a_stale_backup_can_be_had),
        ONE(a_backup_that_breaks_off_says_so_and_leaves_only_a_beginning),
        ONE(a_passphrase_must_come_from_a_file_or_a_terminal_and_be_long_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
