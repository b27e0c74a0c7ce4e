/* A Raft directory that begins behind a state leads with it, goes on above its revisions, and is made in empty
 * directories only. */
#include "tests/unit/raft-store_help.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "raft-store/raft/replica.h"
#include "raft-store/raft/seed.h"
#include "raft-store/raft/uv_io.h"
#include "tests/unit/proto_net_kit.h"

#define REVISION 1000000123u

struct alone {
    uv_loop_t loop;
    uv_prepare_t prepare;
    struct kit_ca ca;
    struct net_tls *tls;
    char dir[40];
    struct fake_env fake;
    struct store *store; /* what is laid down */
    struct transport *transport;
    struct uv_io *io;
    struct replica *replica;
    bool closed;
};

static void on_prepare(uv_prepare_t *h)
{
    struct alone *a = h->data;
    while (a->replica != NULL && !a->closed && replica_turn(a->replica)) {
    }
}

static int set_up(void **state)
{
    struct alone *a = xcalloc(1, sizeof *a);
    struct error err = {0};
    uv_loop_init(&a->loop);
    uv_prepare_init(&a->loop, &a->prepare);
    a->prepare.data = a;
    uv_prepare_start(&a->prepare, on_prepare);
    a->ca = kit_ca_new("test");
    a->tls = kit_tls(&a->ca, PKI_ROLE_MASTER, "7");
    strcpy(a->dir, "/tmp/reeve-test-XXXXXX");
    assert_non_null(mkdtemp(a->dir));
    fake_init(&a->fake, 1);
    a->store = store_plain(&a->fake);
    store_tip_open(a->store, 1);
    for (unsigned i = 0; i < 50; i++) {
        char name[16];
        uint8_t id[TXN_ID_SIZE] = {(uint8_t)i, 1};
        struct txn t;
        struct txn_result result;
        snprintf(name, sizeof name, "c%02u", i);
        txn_init(&t, "test");
        txn_set_id(&t, id);
        txn_create(&t, config_map("default", name, "k", "v"));
        must(store_eval(a->store, &t, &result, &err), &err);
        txn_close(&t);
    }
    CLEANUP_BUF struct buf entry = BUF_INIT;
    store_batch_take(a->store, &entry);
    must(store_apply(a->store, 1, entry.data, entry.size, &err), &err);
    store_tip_drop(a->store);
    *state = a;
    return 0;
}

static void mark(void *data)
{
    *(bool *)data = true;
}

static void stop(struct alone *a)
{
    bool transport_closed = false;
    replica_close(a->replica, mark, &a->closed);
    KIT_UNTIL(&a->loop, a->closed);
    transport_close(a->transport, mark, &transport_closed);
    KIT_UNTIL(&a->loop, transport_closed);
    replica_free(a->replica);
    uv_io_free(a->io);
    a->replica = NULL;
}

static int tear_down(void **state)
{
    struct alone *a = *state;
    if (a->replica != NULL) {
        stop(a);
    }
    DIR *d = opendir(a->dir);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        unlinkat(dirfd(d), e->d_name, 0);
    }
    closedir(d);
    rmdir(a->dir);
    store_free(a->store);
    uv_close((uv_handle_t *)&a->prepare, NULL);
    kit_loop_end(&a->loop);
    net_tls_unref(a->tls);
    kit_ca_free(&a->ca);
    free(a);
    return 0;
}

static int lay(struct alone *a, struct error *err)
{
    struct store_fork *f = store_fork_new(a->store);
    assert_int_equal(view_revision(store_fork_view(f)), view_revision(store_committed(a->store)));
    assert_int_equal(store_fork_ids(f), 50);
    int rc = seed_write(a->dir, &(struct seed){.id = 7, .address = "127.0.0.1:1", .term = 9, .index = 1234, .state = f},
                        err);
    store_fork_free(f);
    return rc;
}

static void start(struct alone *a)
{
    struct error err = {0};
    a->closed = false;
    a->transport = transport_new(
        &(struct transport_config){.loop = &a->loop, .tls = a->tls, .id = 7, .address = "127.0.0.1:1", .data = a});
    must(uv_io_new(&a->loop, a->dir, a->transport, NULL, &a->io, &err), &err);
    must(replica_new(&(struct replica_config){.id = 7,
                                              .address = "127.0.0.1:1",
                                              .io = uv_io_raft(a->io),
                                              .env = env_real(),
                                              .store = {.env = env_real()},
                                              .peers = {a->transport, transport_ask_term},
                                              .election_timeout_ms = 300,
                                              .heartbeat_ms = 50,
                                              .snapshot_dir = a->dir},
                     &a->replica, &err),
         &err);
    transport_set_node(a->transport, a->replica);
    must(replica_start(a->replica, &err), &err);
    KIT_UNTIL(&a->loop, replica_leading(a->replica));
}

struct answer {
    bool given;
    int code;
    struct txn_result result;
};

static void on_write(const struct txn_result *result, const struct error *error, void *data)
{
    struct answer *a = data;
    a->given = true;
    a->code = error == NULL ? 0 : error->code;
    if (result != NULL) {
        a->result = *result;
    }
}

static struct answer write_one(struct alone *a, const char *name, uint8_t first, uint8_t second)
{
    struct answer answer = {0};
    struct txn t;
    uint8_t id[TXN_ID_SIZE] = {first, second};
    txn_init(&t, "test");
    txn_set_id(&t, id);
    txn_create(&t, config_map("default", name, "k", "v"));
    replica_submit(a->replica, &t, on_write, &answer, NULL);
    txn_close(&t);
    KIT_UNTIL(&a->loop, answer.given);
    assert_int_equal(answer.code, 0);
    return answer;
}

static void a_seeded_directory_leads_with_the_state_and_goes_on_above_it(void **state)
{
    struct alone *a = *state;
    struct error err = {0};
    store_rebase(a->store, REVISION);
    must(lay(a, &err), &err);
    start(a);
    const struct view *v = store_committed(replica_store(a->replica));
    assert_views_equal(store_committed(a->store), v);
    assert_int_equal(view_revision(v), REVISION);
    assert_int_equal(find(v, KIND_CONFIGMAP, "default", "c07")->revision, 8); /* objects keep theirs */
    assert_true(replica_term(a->replica) >= 9); /* alone, it leads in the term that it finds */
    assert_true(store_applied_index(replica_store(a->replica)) >= 1234);
    struct answer repeat = write_one(a, "c49", 49, 1);
    assert_true(repeat.result.repeated);
    assert_int_equal(repeat.result.revision, REVISION); /* moved along with the rest */
    assert_int_equal(write_one(a, "fresh", 1, 2).result.revision, REVISION + 1);
    stop(a);
    start(a); /* and once more, with a log behind the snapshot */
    assert_int_equal(view_count(store_committed(replica_store(a->replica)), NULL), 51);
    assert_int_equal(view_revision(store_committed(replica_store(a->replica))), REVISION + 1);
    stop(a);
}

static void a_directory_that_holds_a_log_is_left_alone(void **state)
{
    struct alone *a = *state;
    struct error err = {0};
    must(lay(a, &err), &err);
    assert_int_equal(lay(a, &err), ERR_EXISTS);
    assert_non_null(strstr(err.message, a->dir));
    start(a);
    assert_int_equal(view_count(store_committed(replica_store(a->replica)), NULL), 50);
    stop(a);
}

static void what_cannot_be_written_is_an_error(void **state)
{
    struct alone *a = *state;
    struct error err = {0};
    rmdir(a->dir);
    assert_true(lay(a, &err) != 0);
    assert_non_null(strstr(err.message, a->dir));
    mkdir(a->dir, 0700);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_seeded_directory_leads_with_the_state_and_goes_on_above_it),
        TEST(a_directory_that_holds_a_log_is_left_alone),
        TEST(what_cannot_be_written_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
