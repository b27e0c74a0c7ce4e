/* The cluster's CA is replaced while all goes on. */
#include "tests/unit/master_rotate.h"
#include "base/timefmt.h"

static int tear_down(void **state)
{
    if (*state != NULL) {
        kit_thaw_all(*state);
        kit_free(*state);
        *state = NULL;
    }
    return 0;
}

static struct kit *three(void **state)
{
    struct kit *k = kit_three(NULL);
    *state = k;
    RCTL(k, 0, "knows 3 masters now", "config", "set-servers");
    return k;
}

/* All masters hold this one CA alone. */
static void wait_for_ca(struct kit *k, const char *not_this, unsigned masters)
{
    int64_t until = kit_now() + KIT_WAIT_MS;
    for (unsigned i = 0; i < masters; kit_turn(k, 50)) {
        const char *args[] = {"get", "namespaces", NULL}; /* users renew by the way */
        kit_rctl(k, NULL, args);
        const char *ca = master_text(k, i, "ca.crt");
        if (cas_in(ca) == 1 && strstr(ca, not_this) == NULL && strcmp(ca, master_text(k, 0, "ca.crt")) == 0) {
            i++;
        } else if (kit_now() > until) {
            fail_msg("master %u has not got the new CA alone", i);
        }
    }
}

/* When a CA ends, as `rctl cert status` shows it. */
static const char *end_of_ca(struct kit *k, const char *pem)
{
    char date[TIMEFMT_SIZE];
    int64_t until_s;
    assert_int_equal(pki_cert_info(pem, NULL, NULL, &until_s, NULL), 0);
    timefmt_rfc3339(until_s * 1000, date);
    return arena_strdup(&k->arena, date);
}

/* Even to who trusts the former one still, and that one first. */
static void the_ca_that_counts_is_shown(struct kit *k, const char *old, const char *fresh)
{
    const char *both = arena_printf(&k->arena, "%s%s", old, fresh), *path = in_kit(k, "both.pem");
    assert_string_not_equal(end_of_ca(k, old), end_of_ca(k, fresh));
    assert_int_equal(pki_write_file(path, both, strlen(both), 0600, NULL), 0);
    const char *name = RCTL(k, 0, NULL, "config", "view", "-o", "jsonpath={.clusters[0].name}");
    name = arena_strndup(&k->arena, name, strcspn(name, "\n"));
    RCTL(k, 0, NULL, "config", "set-cluster", name, "--certificate-authority", path, "--embed-certs");
    const char *said = RCTL(k, 0, "O=reeve:ca", "cert", "status");
    const char *row = strstr(said, "O=reeve:ca"), *end = strchr(row, '\n');
    if (memmem(row, (size_t)(end - row), end_of_ca(k, fresh), strlen(end_of_ca(k, fresh))) == NULL) {
        fail_msg("the CA that counts ends on %s, and not as is said: %s", end_of_ca(k, fresh), said);
    }
}

static void wait_for_text(struct kit *k, const char *path, const char *text, const char *what)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS; strstr(text_of(k, path), text) == NULL; kit_turn(k, 50)) {
        if (kit_now() > until) {
            fail_msg("%s: %s", what, text_of(k, path));
        }
    }
}

static void wait_for_ready(struct kit *k, const char *node)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 100)) {
        const char *args[] = {"get", "node", node, "-o", "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}",
                              NULL};
        CLEANUP_FREE char *said = NULL;
        kit_rctl(k, &said, args);
        if (strncmp(said, "True", 4) == 0) {
            return;
        }
        if (kit_now() > until) {
            fail_msg("node %s is not ready: %s", node, said);
        }
    }
}

/* At least so many (of four one stands by), and nobody who is on the way. */
static void wait_for_voters(struct kit *k, unsigned wanted)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 100)) {
        const char *args[] = {"master", "list", NULL};
        CLEANUP_FREE char *said = NULL;
        unsigned voters = 0;
        kit_rctl(k, &said, args);
        for (const char *at = said; (at = strstr(at, "voter")) != NULL; at++) {
            voters++;
        }
        if (voters >= wanted) {
            return;
        }
        if (kit_now() > until) {
            fail_msg("%u voters are wanted: %s", wanted, said);
        }
    }
}

/* Until `rctl cert status` says this. */
static const char *wait_for_status(struct kit *k, const char *text)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 100)) {
        const char *args[] = {"cert", "status", NULL};
        char *said = NULL;
        kit_rctl(k, &said, args);
        const char *copy = arena_strdup(&k->arena, said);
        free(said);
        if (strstr(copy, text) != NULL) {
            return copy;
        }
        if (kit_now() > until) {
            fail_msg("expected \"%s\" in: %s", text, copy);
        }
    }
}

static void a_cluster_gets_another_ca_and_the_old_one_counts_no_more(void **state)
{
    struct kit *k = three(state);
    struct agent_process n1, n2;
    const char *old = master_text(k, 0, "ca.crt"), *old_token = token_by_rctl(k, "node");
    assert_int_equal(agent_join(k, &n1, "n1", token_by_rctl(k, "node"), 1), 0);
    agent_run(k, &n1);
    wait_for_ready(k, "n1");
    const char *said = RCTL(k, 0, "the CA of the cluster is now", "cert", "rotate-ca");
    assert_non_null(strstr(said, "trust: masters begin"));
    assert_non_null(strstr(said, "make a new backup"));
    wait_for_ca(k, old, 3);
    const char *fresh = master_text(k, 0, "ca.crt");
    wait_for_text(k, in_kit(k, "n1/ca.pem"), fresh, "the node trusts the new CA");
    for (int64_t until = kit_now() + KIT_WAIT_MS; cas_in(text_of(k, in_kit(k, "n1/ca.pem"))) != 1; kit_turn(k, 50)) {
        assert_true(kit_now() < until);
    }
    RCTL(k, 0, "n1", "get", "nodes");
    the_ca_that_counts_is_shown(k, old, fresh);
    said = RCTL(k, 0, "node n1", "cert", "status");
    assert_null(strstr(said, "old CA"));
    assert_null(strstr(said, "being replaced"));
    /* What the old one signs is refused, in both directions. */
    struct client *forged =
        client_of(k, 0, k->ca, k->ca_key, arena_printf(&k->arena, "%s%s", k->ca, fresh), PKI_ROLE_ADMIN, "thief");
    refused(forged, ERR_CLOSED, NULL, "hello", "{}");
    for (int64_t until = kit_now() + KIT_WAIT_MS; forged->rpc != NULL; kit_turn(k, 20)) {
        assert_true(kit_now() < until);
    }
    if (strstr(forged->why.message, "not signed by") == NULL) {
        fail_msg("%s", forged->why.message);
    }
    client_close(forged);
    /* Newcomers: a token names the CA, so an old one is good for nothing, and a new one is. */
    struct agent_process late;
    assert_int_not_equal(agent_join(k, &late, "late", old_token, 1), 0);
    wait_for_text(k, late.log, "fingerprint", "an old token");
    assert_int_equal(agent_join(k, &n2, "n2", token_by_rctl(k, "node"), 2), 0);
    assert_string_equal(text_of(k, in_kit(k, "n2/ca.pem")), fresh);
    CLEANUP_FREE char *join = NULL;
    assert_int_equal(kit_join_with(k, 1, token_by_rctl(k, "master"), &join), 0);
    kit_start(k, 3);
    wait_for_voters(k, 3);
    /* All that is on disks is enough to start from. */
    agent_stop(k, &n1);
    for (unsigned i = 0; i < 4; i++) {
        kit_stop(k, i, SIGTERM);
    }
    for (unsigned i = 0; i < 4; i++) {
        kit_start(k, i);
    }
    RCTL(k, 0, "n1", "get", "nodes");
    agent_run(k, &n1);
    wait_for_ready(k, "n1");
    agent_stop(k, &n1);
}

/* Those that have died are started anew, and not armed; how many they were. */
static unsigned start_the_dead(struct kit *k)
{
    unsigned died = 0;
    for (unsigned i = 0; i < 3; i++) {
        int status;
        if (waitpid(k->masters[i].pid, &status, WNOHANG) > 0) {
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
            k->masters[i].pid = 0;
            kit_start(k, i);
            died++;
        }
    }
    return died;
}

/* One that has just been started must not be told to end before it can hear it. */
static void wait_for_service(struct kit *k, unsigned i)
{
    struct net_tls *tls = NULL;
    bool answered = false;
    assert_int_equal(net_tls_new(master_text(k, i, "ca.crt"), NULL, NULL, NULL, &tls, NULL), 0);
    for (int64_t until = kit_now() + KIT_WAIT_MS; !answered; kit_turn(k, 20)) {
        struct client *c = client_with(k, i, tls);
        answered = call(c, "hello", "{}") == 0;
        client_close(c);
        assert_true(kit_now() < until);
    }
    net_tls_unref(tls);
}

static bool all_are_on_another(struct kit *k, const char *old)
{
    const char *ca = master_text(k, 0, "ca.crt");
    return cas_in(ca) == 1 && strcmp(ca, old) != 0 && strcmp(ca, master_text(k, 1, "ca.crt")) == 0 &&
           strcmp(ca, master_text(k, 2, "ca.crt")) == 0;
}

/* A rotation in which masters die there. */
static void rotate_with(struct kit *k, const char *failpoints)
{
    const char *old = master_text(k, 0, "ca.crt");
    for (unsigned i = 0; i < 3; i++) {
        kit_stop(k, i, SIGTERM);
    }
    for (unsigned i = 0; i < 3; i++) {
        kit_start_armed(k, i, failpoints);
    }
    const char *begin[] = {"cert", "rotate-ca", "--no-wait", NULL}, *other[] = {"get", "namespaces", NULL};
    kit_rctl(k, NULL, begin); /* its answer may die with the masters; what it has begun goes on */
    unsigned died = 0;
    for (int64_t until = kit_now() + KIT_WAIT_MS; died == 0 || !all_are_on_another(k, old); kit_turn(k, 50)) {
        died += start_the_dead(k);
        kit_rctl(k, NULL, other); /* users renew by the way */
        if (kit_now() > until) {
            fail_msg("%s: %u died, and the rotation does not end: %s", failpoints, died, wait_for_status(k, ""));
        }
    }
    start_the_dead(k);
    for (unsigned i = 0; i < 3; i++) {
        wait_for_service(k, i);
    }
    RCTL(k, 0, "kube-system", "get", "namespaces");
}

/* The leader, before and after it has written a step; all masters, before and behind ca.crt, when they begin to
 * trust, are to present another certificate, and drop the old CA. */
static void whoever_is_killed_between_two_steps_the_rotation_ends(void **state)
{
    static const char *const points[] = {"rotate_before_step=crash@1", "rotate_before_step=crash@2",
                                         "rotate_before_step=crash@3", "rotate_after_step=crash@3",
                                         "rotate_before_cas=crash@1",  "rotate_before_cas=crash@2",
                                         "rotate_after_cas=crash@2",   "rotate_after_cas=crash@3"};
    struct kit *k = three(state);
    for (size_t p = 0; p < ARRAY_SIZE(points); p++) {
        rotate_with(k, points[p]);
    }
}

static void a_master_that_is_down_is_waited_for_and_catches_up(void **state)
{
    struct kit *k = three(state);
    const char *old = master_text(k, 0, "ca.crt");
    kit_stop(k, 2, SIGTERM);
    RCTL(k, 0, NULL, "cert", "rotate-ca", "--no-wait");
    wait_for_status(k, "does not answer");
    assert_int_equal(cas_in(master_text(k, 2, "ca.crt")), 1);
    kit_start(k, 2);
    wait_for_ca(k, old, 3);
    wait_for_voters(k, 3);
}

static void a_master_that_missed_it_all_is_told_to_join_anew(void **state)
{
    struct kit *k = three(state);
    const char *old = master_text(k, 0, "ca.crt");
    kit_stop(k, 2, SIGTERM);
    RCTL(k, 0, NULL, "cert", "rotate-ca", "--no-wait");
    wait_for_status(k, "does not answer");
    RCTL(k, 0, "is now", "cert", "rotate-ca", "--finish");
    wait_for_ca(k, old, 2);
    kit_start(k, 2);
    wait_for_text(k, k->masters[2].log, "join anew", "the master says what to do");
    RCTL(k, 0, NULL, "master", "remove", "3", "--force");
    kit_stop(k, 2, SIGTERM);
}

/* Who finishes because a master is away means that master: nodes and users, who have heard nothing yet, have their
 * time, until it is said again. */
static void a_finish_without_a_dead_master_cuts_no_node_off(void **state)
{
    struct kit *k = three(state);
    const char *old = master_text(k, 0, "ca.crt");
    struct agent_process n1;
    struct client *kate = client_as(k, 1, PKI_ROLE_ADMIN, "kate");
    must(kate, "hello", "{}");
    assert_int_equal(agent_join(k, &n1, "n1", token_by_rctl(k, "node"), 1), 0);
    agent_run(k, &n1);
    wait_for_ready(k, "n1");
    kit_stop(k, 2, SIGTERM);
    RCTL(k, 0, NULL, "cert", "rotate-ca", "--no-wait");
    wait_for_status(k, "does not answer");
    RCTL(k, 0, NULL, "cert", "rotate-ca", "--finish", "--no-wait");
    wait_for_status(k, "user kate uses an old certificate");
    must(kate, "get", "{kind: Namespace, name: default}");
    for (int64_t until = kit_now() + KIT_WAIT_MS; cas_in(text_of(k, in_kit(k, "n1/ca.pem"))) != 2; kit_turn(k, 50)) {
        assert_true(kit_now() < until);
    }
    RCTL(k, 0, "is now", "cert", "rotate-ca", "--finish"); /* and now kate too is waited for no more */
    wait_for_ca(k, old, 2);
    for (int64_t until = kit_now() + KIT_WAIT_MS; cas_in(text_of(k, in_kit(k, "n1/ca.pem"))) != 1; kit_turn(k, 50)) {
        assert_true(kit_now() < until);
    }
    assert_string_equal(text_of(k, in_kit(k, "n1/ca.pem")), master_text(k, 0, "ca.crt"));
    agent_stop(k, &n1);
    client_close(kate);
}

/* Another rctl writes a new certificate into the configuration while this one waits: it goes on with that. */
static void whoever_waits_goes_on_with_what_another_rctl_has_renewed(void **state)
{
    struct kit *k = three(state);
    const char *log = in_kit(k, "waits.log"), *config = arena_printf(&k->arena, "%s/admin.config", k->masters[0].dir);
    const char *args[] = {"--config", config, "cert", "rotate-ca", NULL};
    kit_stop(k, 2, SIGTERM);
    pid_t waits = spawn_beside(k, "rctl", log, args);
    wait_for_status(k, "phase \"trust\"");
    wait_for_text(k, log, "trust: masters begin", "the command waits");
    RCTL(k, 0, NULL, "cert", "renew");
    kit_start(k, 2);
    assert_int_equal(process_end(k, waits), 0);
    wait_for_text(k, log, "the CA of the cluster is now", "the command has seen the end");
    assert_null(strstr(text_of(k, log), "is not renewed"));
}

/* Its disk is lost while the others trust two CAs, of which it knows one: it comes back as another, with both. */
static void a_master_that_comes_back_in_the_middle_has_the_right_cas(void **state)
{
    struct kit *k = three(state);
    const char *old = master_text(k, 0, "ca.crt");
    kit_wait_parts(k, 3);
    kit_stop(k, 2, SIGTERM);
    RCTL(k, 0, NULL, "cert", "rotate-ca", "--no-wait");
    wait_for_status(k, "does not answer");
    assert_int_equal(cas_in(master_text(k, 2, "ca.crt")), 1);
    char command[400];
    snprintf(command, sizeof command, "rm -rf %s/raft", k->masters[2].dir);
    assert_int_equal(system(command), 0);
    kit_start(k, 2);
    wait_for_text(k, k->masters[2].log, "comes back as master 4", "the master has another number");
    wait_for_ca(k, old, 3);
    wait_for_voters(k, 3);
    wait_for_status(k, "the leader has the key at hand");
}

static void users_have_time_with_hold_and_whoever_did_not_renew_is_cut_off(void **state)
{
    struct kit *k = three(state);
    struct client *kate = client_as(k, 1, PKI_ROLE_ADMIN, "kate");
    struct client *n1 = client_as(k, 0, PKI_ROLE_NODE, "n1");
    must(kate, "hello", "{}");
    must(n1, "hello", "{}");
    RCTL(k, 0, NULL, "cert", "rotate-ca", "--hold", "--no-wait");
    const char *said = wait_for_status(k, "phase \"sign\"");
    said = wait_for_status(k, "user kate uses an old certificate");
    wait_for_status(k, "rctl cert rotate-ca --finish ends the time");
    (void)said;
    assert_int_equal(cas_in(master_text(k, 0, "ca.crt")), 2);
    /* In between masters, nodes and users join and renew as always. */
    CLEANUP_FREE char *join = NULL;
    assert_int_equal(kit_join_with(k, 1, token_by_rctl(k, "master"), &join), 0);
    kit_start(k, 3);
    wait_for_voters(k, 3);
    struct agent_process late;
    assert_int_equal(agent_join(k, &late, "late", token_by_rctl(k, "node"), 1), 0);
    assert_int_equal(cas_in(text_of(k, in_kit(k, "late/ca.pem"))), 2);
    must(kate, "get", "{kind: Namespace, name: default}");
    RCTL(k, 0, "is now", "cert", "rotate-ca", "--finish");
    for (int64_t until = kit_now() + KIT_WAIT_MS; kate->rpc != NULL || n1->rpc != NULL; kit_turn(k, 20)) {
        assert_true(kit_now() < until); /* their connections were of the old CA */
    }
    agent_run(k, &late); /* it came in with a certificate of the new one */
    wait_for_ready(k, "late");
    agent_stop(k, &late);
    client_close(kate);
    client_close(n1);
}

static void it_is_begun_once_and_again_only_when_asked(void **state)
{
    struct kit *k = three(state);
    struct client *c = client_admin(k, 0);
    must(c, "cert.rotation", "{}");
    const char *first = text_at(c, "ca");
    must(c, "cert.rotate", "{replaces: %s, hold: true}", first);
    const char *next = text_at(c, "rotation.next");
    must(c, "cert.rotate", "{replaces: %s}", first);
    assert_string_equal(text_at(c, "rotation.next"), next);
    must(c, "cert.rotate", "{replaces: %s}", next); /* another one's repetition: that CA is not replaced */
    assert_string_equal(text_at(c, "rotation.next"), next);
    refused(c, ERR_FORBIDDEN, "the cluster needs it", "delete",
            "{kind: ConfigMap, namespace: kube-system, name: reeve-ca}");
    struct client *n = client_as(k, 0, PKI_ROLE_NODE, "n1");
    refused(n, ERR_FORBIDDEN, NULL, "cert.rotate", "{}");
    client_close(n);
    client_close(c);
}

int main(void)
{

    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_cluster_gets_another_ca_and_the_old_one_counts_no_more, tear_down),
        cmocka_unit_test_teardown(whoever_is_killed_between_two_steps_the_rotation_ends, tear_down),
        cmocka_unit_test_teardown(a_master_that_is_down_is_waited_for_and_catches_up, tear_down),
        cmocka_unit_test_teardown(a_master_that_missed_it_all_is_told_to_join_anew, tear_down),
        cmocka_unit_test_teardown(a_finish_without_a_dead_master_cuts_no_node_off, tear_down),
        cmocka_unit_test_teardown(whoever_waits_goes_on_with_what_another_rctl_has_renewed, tear_down),
        cmocka_unit_test_teardown(a_master_that_comes_back_in_the_middle_has_the_right_cas, tear_down),
        cmocka_unit_test_teardown(users_have_time_with_hold_and_whoever_did_not_renew_is_cut_off, tear_down),
        cmocka_unit_test_teardown(it_is_begun_once_and_again_only_when_asked, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
