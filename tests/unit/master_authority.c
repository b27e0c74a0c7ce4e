/* The CA's key in parts: where it lies, who gets it, what happens when parts are lost or wrong, members come and go,
 * and masters die at any step. */
#include <dirent.h>
#include <openssl/core_names.h>
#include <sys/stat.h>

#include "master/auth/parts.h"
#include "master/config.h"
#include "proto/pki/x509.h"
#include "tests/unit/master_rotate.h"

static int tear_down(void **state)
{
    if (*state != NULL) {
        kit_thaw_all(*state);
        kit_free(*state);
        *state = NULL;
    }
    return 0;
}

/* ---- Looking ---- */

static const char *path_in(struct kit *k, unsigned i, const char *file)
{
    return arena_printf(&k->arena, "%s/%s", k->masters[i].dir, file);
}

static bool has_file(struct kit *k, unsigned i, const char *file)
{
    return access(path_in(k, i, file), F_OK) == 0;
}

/* The newest part that a master has on its disk. */
static struct part part_of(struct kit *k, unsigned i)
{
    struct parts *p = parts_new();
    struct part newest = {0};
    struct error err = {0};
    unsigned damaged;
    if (parts_load(k->masters[i].dir, p, &damaged, &err) != 0) {
        fail_msg("%s", err.message);
    }
    for (unsigned n = 0; n < p->count; n++) {
        newest = p->items[n].generation > newest.generation ? p->items[n] : newest;
    }
    parts_free(p);
    return newest;
}

static void wait_for_part(struct kit *k, unsigned i)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS; part_of(k, i).generation == 0; kit_turn(k, 50)) {
        assert_true(kit_now() < until);
    }
}

static void expect_in_log(struct kit *k, unsigned i, const char *text)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 50)) {
        CLEANUP_FREE char *log = kit_log(k, i);
        if (strstr(log, text) != NULL) {
            return;
        }
        if (kit_now() > until) {
            fail_msg("expected \"%s\" in: %s", text, log);
        }
    }
}

/* A node joins through this master: somebody signs. */
static int sign_by(struct kit *k, unsigned i, const char *node)
{
    struct client *c = client_admin(k, i), *stranger = client_as(k, i, PKI_ROLE_NONE, "");
    struct pki_identity who = {.role = PKI_ROLE_NODE};
    char *csr, *key;
    must(c, "token", "{role: node}");
    snprintf(who.name, sizeof who.name, "%s", node);
    assert_int_equal(pki_make_request(&who, &csr, &key, NULL), 0);
    struct value *params = kit_doc(k, "{role: node, name: %s, token: '%.23s'}", node, text_at(c, "token"));
    value_set(&k->arena, params, "csr", value_cstr(&k->arena, csr));
    int rc = call_value(stranger, "join", params);
    if (rc == 0) {
        assert_true(pki_pair_fits(text_at(stranger, "certificate"), key));
    }
    free(csr);
    pki_free_key(key);
    client_close(stranger);
    client_close(c);
    return rc;
}

static void give_leadership_to(struct kit *k, unsigned i)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS; kit_leader(k) != i;) {
        struct client *c = client_admin(k, i);
        call(c, "master.transfer", "{id: %u}", i + 1);
        client_close(c);
        assert_true(kit_now() < until);
    }
}

/* ---- No file has it ---- */

struct needle {
    const char *text; /* a line of the PEM */
    uint8_t number[32];
};

static void look_into(const char *path, const struct needle *n)
{
    char *text = NULL;
    size_t size = 0;
    struct error err = {0};
    if (pki_read_file(path, 256u << 20, &text, &size, &err) != 0) {
        fail_msg("%s", err.message);
    }
    if (memmem(text, size, n->text, strlen(n->text)) != NULL || memmem(text, size, n->number, 32) != NULL) {
        fail_msg("the CA's key is in %s", path);
    }
    free(text);
}

static unsigned look_into_all(const char *dir, const struct needle *n)
{
    DIR *d = opendir(dir);
    unsigned files = 0;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        CLEANUP_FREE char *path = xasprintf("%s/%s", dir, e->d_name);
        if (e->d_type == DT_DIR && e->d_name[0] != '.') {
            files += look_into_all(path, n);
        } else if (e->d_type == DT_REG) {
            look_into(path, n);
            files++;
        }
    }
    closedir(d);
    return files;
}

static struct needle needle_of(struct kit *k, const char *key_pem)
{
    struct needle n = {0};
    BIGNUM *number = NULL;
    EVP_PKEY *key = pki_key_parse(key_pem, NULL);
    assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &number), 1);
    assert_int_equal(BN_bn2binpad(number, n.number, 32), 32);
    const char *line = strchr(key_pem, '\n') + 1;
    n.text = arena_strndup(&k->arena, line, strcspn(line, "\n"));
    assert_true(strlen(n.text) > 40);
    BN_clear_free(number);
    EVP_PKEY_free(key);
    return n;
}

static void no_masters_directory_holds_the_key(void **state)
{
    static const char *const args[] = {"--snapshot-entries", "20", NULL};
    struct kit *k = *state = kit_three(args);
    struct needle n = needle_of(k, k->ca_key);
    kit_wait_parts(k, 3);
    struct client *c = client_admin(k, 0);
    for (unsigned i = 0; i < 60; i++) { /* snapshots as well */
        must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: c%u}}}", i);
    }
    client_close(c);
    for (unsigned i = 0; i < 3; i++) {
        kit_stop(k, i, SIGTERM);
        assert_false(has_file(k, i, "ca.key"));
        assert_true(has_file(k, i, "ca.part"));
        struct stat st;
        assert_int_equal(stat(path_in(k, i, "ca.part"), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_true(look_into_all(k->masters[i].dir, &n) > 5);
        CLEANUP_FREE char *log = kit_log(k, i);
        assert_null(strstr(log, n.text));
    }
    struct part one = part_of(k, 0), two = part_of(k, 1), three = part_of(k, 2);
    assert_string_equal(one.deal, two.deal);
    assert_string_equal(one.deal, three.deal);
    assert_true(one.share.x != two.share.x && two.share.x != three.share.x);
}

/* ---- Who leads has it ---- */

static void whoever_leads_signs_whoever_is_asked(void **state)
{
    struct kit *k = *state = kit_three(NULL);
    int64_t generation = kit_wait_parts(k, 3);
    for (unsigned leader = 0; leader < 3; leader++) {
        give_leadership_to(k, leader);
        for (unsigned i = 0; i < 3; i++) {
            assert_int_equal(sign_by(k, i, arena_printf(&k->arena, "n%u-%u", leader, i)), 0);
        }
    }
    assert_int_equal(kit_wait_parts(k, 3), generation); /* a change of leader makes no new parts */
    unsigned leader = kit_leader(k);
    kit_stop(k, leader, SIGKILL);
    assert_int_equal(sign_by(k, (leader + 1) % 3, "after"), 0); /* two of three parts */
    kit_start(k, leader);
    kit_wait_parts(k, 3);
}

static void a_part_is_given_to_the_leader_of_the_term_alone(void **state)
{
    struct kit *k = *state = kit_three(NULL);
    kit_wait_parts(k, 3);
    unsigned leader = kit_leader(k), voter = (leader + 1) % 3, thief = (leader + 2) % 3;
    struct client *admin = client_admin(k, leader);
    must(admin, "cluster", "{}");
    int64_t term = int_at(admin, "term");
    struct part part = part_of(k, voter);
    struct client *c = client_as_raft(k, voter, thief + 1);
    refused(c, ERR_NOT_LEADER, NULL, "ca.get", "{term: %lld, deal: '%s'}", (long long)term, part.deal);
    refused(c, ERR_NOT_LEADER, NULL, "ca.has", "{term: %lld}", (long long)term);
    refused(c, ERR_NOT_LEADER, NULL, "ca.put", "{term: %lld, generation: 99, deal: '0123456789abcdef', x: 1, part: x}",
            (long long)term);
    refused(c, ERR_NOT_LEADER, NULL, "ca.sign", "{csr: x}");
    client_close(c);
    c = client_as_raft(k, voter, leader + 1); /* its identity, in a term that is over */
    refused(c, ERR_NOT_LEADER, NULL, "ca.get", "{term: %lld, deal: '%s'}", (long long)term - 1, part.deal);
    client_close(c);
    c = client_as(k, voter, PKI_ROLE_ADMIN, "kate"); /* over a client's connection there is no such method */
    refused(c, ERR_UNSUPPORTED, NULL, "ca.get", "{term: %lld, deal: '%s'}", (long long)term, part.deal);
    refused(c, ERR_FORBIDDEN, "for masters", "cert.admin", "{csr: x, name: admin}");
    client_close(c);
    struct client *node = client_as(k, voter, PKI_ROLE_NODE, "n");
    refused(node, ERR_FORBIDDEN, NULL, "cert.admin", "{csr: x, name: admin}");
    client_close(node);
    refused(admin, ERR_FORBIDDEN, "the cluster needs it", "delete",
            "{kind: Secret, namespace: kube-system, name: reeve-ca}");
    client_close(admin);
}

/* ---- Lost and wrong ---- */

static void a_lost_part_is_given_again(void **state)
{
    struct kit *k = *state = kit_three(NULL);
    int64_t generation = kit_wait_parts(k, 3);
    unsigned leader = kit_leader(k), lost = (leader + 1) % 3;
    struct part before = part_of(k, lost);
    kit_stop(k, lost, SIGTERM);
    assert_int_equal(unlink(path_in(k, lost, "ca.part")), 0);
    kit_start(k, lost);
    wait_for_part(k, lost);
    assert_int_equal(kit_wait_parts(k, 3), generation);
    struct part now = part_of(k, lost);
    assert_memory_equal(&before.share, &now.share, sizeof now.share);
    kit_stop(k, leader, SIGKILL); /* what it was given is good: with it the other two have enough */
    assert_int_equal(sign_by(k, lost, "n1"), 0);
}

static void a_damaged_file_counts_as_lost_and_is_named(void **state)
{
    struct kit *k = *state = kit_three(NULL);
    kit_wait_parts(k, 3);
    unsigned hurt = (kit_leader(k) + 1) % 3;
    kit_stop(k, hurt, SIGTERM);
    char *text = arena_strdup(&k->arena, text_of(k, path_in(k, hurt, "ca.part")));
    size_t at = strlen(text) / 2;
    text[at] = text[at] == '0' ? '1' : '0';
    assert_int_equal(pki_write_file(path_in(k, hurt, "ca.part"), text, strlen(text), 0600, NULL), 0);
    kit_start(k, hurt);
    expect_in_log(k, hurt, "count as lost");
    wait_for_part(k, hurt);
    kit_wait_parts(k, 3);
}

static void a_wrong_part_is_survived_and_named(void **state)
{
    struct kit *k = *state = kit_three(NULL);
    kit_wait_parts(k, 3);
    unsigned wrong = (kit_leader(k) + 1) % 3, next = (wrong + 1) % 3;
    struct part right = part_of(k, wrong);
    struct parts *p = parts_new();
    kit_stop(k, wrong, SIGTERM);
    p->count = 1;
    p->items[0] = right;
    p->items[0].share.y[7] ^= 1; /* well-formed, and not the part that was given */
    assert_int_equal(parts_save(k->masters[wrong].dir, p, NULL), 0);
    parts_free(p);
    kit_start(k, wrong);
    give_leadership_to(k, wrong); /* its own part is the wrong one */
    assert_int_equal(sign_by(k, next, "n1"), 0);
    expect_in_log(k, wrong,
                  arena_printf(&k->arena, "the part of the CA's key that master %u keeps is wrong", wrong + 1));
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 50)) {
        struct part now = part_of(k, wrong);
        if (memcmp(&now.share, &right.share, sizeof now.share) == 0) {
            break;
        }
        assert_true(kit_now() < until);
    }
}

/* All masters are there, and what they have is not enough. */
static void when_too_many_parts_are_lost_the_cluster_gets_another_ca(void **state)
{
    struct kit *k = *state = kit_three(NULL);
    const char *old = master_text(k, 0, "ca.crt");
    RCTL(k, 0, "knows 3 masters now", "config", "set-servers");
    kit_wait_parts(k, 3);
    for (unsigned i = 0; i < 3; i++) {
        kit_stop(k, i, SIGTERM);
        if (i > 0) {
            assert_int_equal(unlink(path_in(k, i, "ca.part")), 0);
        }
    }
    for (unsigned i = 0; i < 3; i++) {
        kit_start(k, i);
    }
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 50)) {
        const char *args[] = {"cert", "status", NULL};
        CLEANUP_FREE char *said = NULL;
        kit_rctl(k, &said, args);
        if (strstr(said, "no master has got the key of the cluster's CA") != NULL) {
            break;
        }
        if (kit_now() > until) {
            fail_msg("%s", said);
        }
    }
    for (unsigned i = 0; i < 3; i++) { /* whichever master answers */
        RCTL(k, 0, "Warning:  no master has got the key of the cluster's CA", "cluster", "status");
    }
    RCTL(k, 1, "`rctl cert rotate-ca` gives the cluster a new CA", "token", "create", "--role", "node");
    RCTL(k, 1, "`rctl cert rotate-ca` gives the cluster a new CA", "master", "add");
    RCTL(k, 0, "is now", "cert", "rotate-ca");
    assert_string_not_equal(master_text(k, 0, "ca.crt"), old);
    free(k->ca);
    k->ca = xstrdup(master_text(k, 0, "ca.crt"));
    RCTL(k, 0, "@", "token", "create", "--role", "node");
}

/* ---- Members come and go ---- */

static void other_voters_get_other_parts(void **state)
{
    struct kit *k = *state = kit_one(NULL);
    int64_t one = kit_wait_parts(k, 1);
    kit_start(k, kit_join(k, 0));
    kit_wait_voters(k, 0, 2);
    int64_t two = kit_wait_parts(k, 2);
    kit_start(k, kit_join(k, 0));
    kit_wait_voters(k, 0, 3);
    int64_t three = kit_wait_parts(k, 3);
    assert_true(one < two && two < three);
    unsigned leader = kit_leader(k), gone = (leader + 1) % 3;
    struct client *c = client_admin(k, leader);
    must(c, "master.remove", "{id: %u, force: true}", gone + 1);
    assert_int_equal(kit_wait_end(k, gone), 3);
    int64_t rest = kit_wait_parts(k, 2);
    assert_true(rest > three);
    assert_string_not_equal(part_of(k, gone).deal, part_of(k, leader).deal); /* its disk says nothing */
    assert_true(part_of(k, gone).generation < (uint64_t)rest);
    assert_false(has_file(k, gone, "ca.key"));
    unsigned last = (leader + 2) % 3;
    must(c, "master.remove", "{id: %u, force: true}", last + 1);
    assert_int_equal(kit_wait_end(k, last), 3);
    kit_wait_parts(k, 1);
    assert_int_equal(sign_by(k, leader, "n1"), 0);
    kit_stop(k, leader, SIGTERM); /* and alone it starts with what it has */
    kit_start(k, leader);
    kit_wait_parts(k, 1);
    assert_int_equal(sign_by(k, leader, "n2"), 0);
    client_close(c);
}

/* ---- From a key in clear ---- */

/* As an older version, or a backup that was copied back, has it. */
static void keys_in_clear_are_taken_into_parts_and_removed(void **state)
{
    struct kit *k = *state = kit_three(NULL);
    int64_t before = kit_wait_parts(k, 3);
    for (unsigned i = 0; i < 3; i++) {
        kit_stop(k, i, SIGTERM);
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(unlink(path_in(k, i, "ca.part")), 0);
        assert_int_equal(pki_write_file(path_in(k, i, "ca.key"), k->ca_key, strlen(k->ca_key), 0600, NULL), 0);
        kit_start(k, i);
    }
    assert_true(kit_wait_parts(k, 3) > before);
    for (int64_t until = kit_now() + KIT_WAIT_MS;
         has_file(k, 0, "ca.key") || has_file(k, 1, "ca.key") || has_file(k, 2, "ca.key"); kit_turn(k, 50)) {
        assert_true(kit_now() < until);
    }
    assert_int_equal(sign_by(k, 1, "n1"), 0);
}

static int64_t number_at(struct kit *k, unsigned i, const char *method, const char *what)
{
    int64_t n = -1;
    for (int64_t until = kit_now() + KIT_WAIT_MS; n < 0; kit_turn(k, 50)) { /* it may just have started */
        struct client *c = client_admin(k, i);
        n = call(c, method, "{}") == 0 ? int_at(c, what) : -1;
        client_close(c);
        assert_true(kit_now() < until);
    }
    return n;
}

/* Whether all answer each other's questions does not count: an older program would not start without ca.key. */
static void the_key_stays_in_clear_until_the_feature_level_says_that_all_are_upgraded(void **state)
{
    static const char older[] = "level_of_program=error@1+";
    struct kit *k = *state = kit_new();
    kit_init(k, NULL);
    assert_int_equal(unlink(path_in(k, 0, MASTER_CLUSTER_FILE)), 0); /* older clusters have no such object */
    kit_start_armed(k, 0, older);
    for (unsigned i = 1; i < 3; i++) {
        kit_leader(k);
        assert_int_equal(kit_join(k, 0), i);
        kit_start_armed(k, i, older);
        kit_wait_voters(k, 0, i + 1);
    }
    for (unsigned i = 0; i < 3; i++) { /* one after the other is upgraded */
        kit_leader(k);
        assert_int_equal(number_at(k, 0, "cluster", "featureLevel"), 0);
        assert_true(has_file(k, 0, "ca.key"));
        assert_false(has_file(k, 0, "ca.part") || has_file(k, 1, "ca.part") || has_file(k, 2, "ca.part"));
        assert_int_equal(sign_by(k, i, arena_printf(&k->arena, "n%u", i)), 0); /* with the old form */
        struct client *c = client_admin(k, kit_leader(k));
        refused(c, ERR_NO_QUORUM, "feature level 1", "cert.rotate", "{}");
        client_close(c);
        kit_stop(k, i, SIGTERM);
        kit_start(k, i);
    }
    kit_wait_parts(k, 3);
    for (int64_t until = kit_now() + KIT_WAIT_MS;
         number_at(k, 0, "cluster", "featureLevel") != 1 || has_file(k, 0, "ca.key"); kit_turn(k, 50)) {
        assert_true(kit_now() < until);
    }
    assert_int_equal(sign_by(k, 1, "after"), 0);
}

static void a_first_start_that_dies_at_any_step_ends_with_the_key_in_parts(void **state)
{
    static const char *const points[] = {"ca_before_part=crash", "ca_after_part=crash", "ca_before_commit=crash",
                                         "ca_after_commit=crash", "ca_before_removal=crash"};
    for (size_t p = 0; p < ARRAY_SIZE(points); p++) {
        struct kit *k = *state = kit_new();
        kit_init(k, NULL);
        assert_true(has_file(k, 0, "ca.key"));
        kit_start_armed(k, 0, points[p]);
        assert_int_equal(kit_wait_end(k, 0), 128 + SIGKILL);
        assert_true(has_file(k, 0, "ca.key") || strstr(points[p], "after_commit") != NULL);
        kit_start(k, 0);
        kit_wait_parts(k, 1);
        assert_false(has_file(k, 0, "ca.key"));
        assert_int_equal(sign_by(k, 0, "n1"), 0);
        kit_free(k);
        *state = NULL;
    }
}

/* A deal of three masters, in which each of them dies once. */
static void whoever_dies_while_parts_are_handed_out_a_generation_is_left(void **state)
{
    static const char *const points[] = {"ca_before_part=crash", "ca_after_part=crash", "ca_before_commit=crash",
                                         "ca_after_commit=crash"};
    struct kit *k = *state = kit_three(NULL);
    kit_wait_parts(k, 3);
    for (size_t p = 0; p < ARRAY_SIZE(points); p++) {
        for (unsigned i = 0; i < 3; i++) {
            kit_stop(k, i, SIGTERM);
        }
        for (unsigned i = 0; i < 3; i++) { /* keys in clear have all of them make a new generation */
            assert_int_equal(pki_write_file(path_in(k, i, "ca.key"), k->ca_key, strlen(k->ca_key), 0600, NULL), 0);
            assert_int_equal(unlink(path_in(k, i, "ca.part")), 0);
            kit_start_armed(k, i, points[p]);
        }
        unsigned died = 0;
        for (int64_t until = kit_now() + KIT_WAIT_MS; died == 0; kit_turn(k, 20)) {
            for (unsigned i = 0; i < 3; i++) {
                int status;
                if (k->masters[i].pid > 0 && waitpid(k->masters[i].pid, &status, WNOHANG) > 0) {
                    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
                    k->masters[i].pid = 0;
                    died++;
                }
            }
            assert_true(kit_now() < until);
        }
        for (unsigned i = 0; i < 3; i++) {
            kit_stop(k, i, SIGKILL);
            kit_start(k, i);
        }
        kit_wait_parts(k, 3);
        assert_int_equal(sign_by(k, 0, arena_printf(&k->arena, "n%zu", p)), 0);
    }
}

/* ---- What needs it ---- */

static void an_administrators_configuration_is_written_with_a_majority_alone(void **state)
{
    struct kit *k = *state = kit_three(NULL);
    kit_wait_parts(k, 3);
    unsigned by = (kit_leader(k) + 1) % 3;
    const char *args[] = {"admin", "--dir", k->masters[by].dir, NULL};
    CLEANUP_FREE char *said = NULL;
    if (kit_run(k, &said, args) != 0) {
        fail_msg("%s", said);
    }
    assert_true(has_file(k, by, "admin.config"));
    const char *program = kit_program();
    char command[900];
    snprintf(command, sizeof command, "%.*s/rctl --config %s get namespaces >/dev/null 2>&1",
             (int)(strrchr(program, '/') - program), program, path_in(k, by, "admin.config"));
    assert_int_equal(system(command), 0);
    kit_stop(k, (by + 1) % 3, SIGKILL);
    kit_stop(k, (by + 2) % 3, SIGKILL);
    free(TAKE_PTR(said));
    assert_int_equal(kit_run(k, &said, args), 1);
    if (strstr(said, "this needs a majority of them") == NULL) {
        fail_msg("%s", said);
    }
    kit_start(k, (by + 1) % 3);
    kit_start(k, (by + 2) % 3);
    kit_wait_parts(k, 3);
}

/* All were off for too long: nobody's certificate counts, and nobody can sign before they have found a leader. */
static void masters_whose_certificates_have_all_expired_renew_them(void **state)
{
    struct kit *k = *state = kit_three(NULL);
    kit_wait_parts(k, 3);
    for (unsigned i = 0; i < 3; i++) {
        struct pki_identity who = {.role = PKI_ROLE_MASTER};
        char *cert, *key;
        kit_stop(k, i, SIGTERM);
        snprintf(who.name, sizeof who.name, "%u", i + 1);
        assert_int_equal(pki_issue(k->ca, k->ca_key, &who, "127.0.0.1", -3600, &cert, &key, NULL), 0);
        assert_int_equal(pki_write_pair(path_in(k, i, "master.crt"), path_in(k, i, "master.key"), cert, key, NULL), 0);
        free(cert);
        pki_free_key(key);
    }
    for (unsigned i = 0; i < 3; i++) {
        kit_start(k, i);
    }
    for (unsigned i = 0; i < 3; i++) {
        int64_t until_s = 0;
        for (int64_t until = kit_now() + KIT_WAIT_MS; until_s * 1000 < env_wall_ms(env_real()); kit_turn(k, 50)) {
            assert_int_equal(pki_cert_info(master_text(k, i, "master.crt"), NULL, NULL, &until_s, NULL), 0);
            assert_true(kit_now() < until);
        }
    }
    kit_wait_parts(k, 3);
    assert_int_equal(sign_by(k, 0, "n1"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(no_masters_directory_holds_the_key, tear_down),
        cmocka_unit_test_teardown(whoever_leads_signs_whoever_is_asked, tear_down),
        cmocka_unit_test_teardown(a_part_is_given_to_the_leader_of_the_term_alone, tear_down),
        cmocka_unit_test_teardown(a_lost_part_is_given_again, tear_down),
        cmocka_unit_test_teardown(a_damaged_file_counts_as_lost_and_is_named, tear_down),
        cmocka_unit_test_teardown(a_wrong_part_is_survived_and_named, tear_down),
        cmocka_unit_test_teardown(when_too_many_parts_are_lost_the_cluster_gets_another_ca, tear_down),
        cmocka_unit_test_teardown(other_voters_get_other_parts, tear_down),
        cmocka_unit_test_teardown(keys_in_clear_are_taken_into_parts_and_removed, tear_down),
        cmocka_unit_test_teardown(the_key_stays_in_clear_until_the_feature_level_says_that_all_are_upgraded, tear_down),
        cmocka_unit_test_teardown(a_first_start_that_dies_at_any_step_ends_with_the_key_in_parts, tear_down),
        cmocka_unit_test_teardown(whoever_dies_while_parts_are_handed_out_a_generation_is_left, tear_down),
        cmocka_unit_test_teardown(an_administrators_configuration_is_written_with_a_majority_alone, tear_down),
        cmocka_unit_test_teardown(masters_whose_certificates_have_all_expired_renew_them, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
