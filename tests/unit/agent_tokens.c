/* Tokens of accounts on a node: what is asked for, when, and what the pod's files are made of. The masters are
 * pretended: whatever is asked is kept, and a test answers it. */
#include "tests/unit/agent_fakes.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/pod/tokens.h"
#include "agent/util/fsutil.h"
#include "proto/jwt/jwt.h"

#define ASKED_MAX 512

struct asked {
    char pod[64], audience[64], account[64];
    int64_t expiration_s;
    tokens_answer_cb *cb;
    void *data;
    bool answered;
};
struct fixture {
    struct world w; /* its clocks */
    uv_loop_t loop;
    struct tokens *t;
    struct asked asked[ASKED_MAX];
    unsigned count, most; /* asked; on the way at once */
    struct buf told;      /* "came u1", "u1 VOLUME: why" */
    struct jwt_key *key;
    struct rng rng;
    bool closed;
};

static void random_bytes(void *data, void *bytes, size_t n)
{
    struct fixture *f = CONTAINER_OF(data, struct fixture, w);
    for (size_t i = 0; i < n; i++) {
        ((uint8_t *)bytes)[i] = (uint8_t)rng_next(&f->rng);
    }
}

static void on_ask(const struct tokens_request *r, tokens_answer_cb *cb, void *cb_data, void *data)
{
    struct fixture *f = data;
    assert_true(f->count < ASKED_MAX);
    struct asked *q = &f->asked[f->count++];
    *q = (struct asked){.expiration_s = r->expiration_s, .cb = cb, .data = cb_data};
    snprintf(q->pod, sizeof q->pod, "%s/%s/%s", r->ns, r->pod, r->pod_uid);
    snprintf(q->audience, sizeof q->audience, "%s", r->audience);
    snprintf(q->account, sizeof q->account, "%s", r->account);
    f->most = MAX(f->most, tokens_in_flight(f->t));
}
static void on_came(const char *uid, void *data)
{
    buf_printf(&((struct fixture *)data)->told, "came %s\n", uid);
}
static void on_lacks(const char *uid, const char *volume, const char *why, void *data)
{
    buf_printf(&((struct fixture *)data)->told, "%s %s: %s\n", uid, volume, why);
}

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    struct error err;
    world_init(&f->w);
    f->w.env.random = random_bytes;
    uv_loop_init(&f->loop);
    assert_int_equal(jwt_key_make(&f->key, &err), 0);
    f->t = tokens_new(&(struct tokens_config){
        .loop = &f->loop, .env = &f->w.env, .ask = on_ask, .came = on_came, .lacks = on_lacks, .data = f});
    *state = f;
    return 0;
}

static void answer_error(struct fixture *f, unsigned i, int code, const char *message)
{
    struct error err = {0};
    error_set(&err, code, "%s", message);
    assert_false(f->asked[i].answered);
    f->asked[i].answered = true;
    f->asked[i].cb(&(struct tokens_answer){.error = &err}, f->asked[i].data);
}

static void on_closed(void *data)
{
    ((struct fixture *)data)->closed = true;
}
static int teardown(void **state)
{
    struct fixture *f = *state;
    tokens_set_masters(f->t, false);
    for (unsigned i = 0; i < f->count; i++) {
        if (!f->asked[i].answered) {
            answer_error(f, i, ERR_CLOSED, "the session ends");
        }
    }
    tokens_close(f->t, on_closed, f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_true(f->closed);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    jwt_key_free(f->key);
    buf_close(&f->told);
    world_close(&f->w);
    free(f);
    return 0;
}

/* A token as masters make it, issued and over by their clock. */
static void make_token(struct fixture *f, const char *name, int64_t issued_s, int64_t life_s, struct buf *out)
{
    CLEANUP_ARENA struct arena a;
    struct error err;
    arena_init(&a);
    struct value *claims = value_map(&a);
    value_set(&a, claims, "sub", value_cstr(&a, name));
    value_set(&a, claims, "iat", value_int(&a, issued_s));
    value_set(&a, claims, "exp", value_int(&a, issued_s + life_s));
    assert_int_equal(jwt_sign(f->key, claims, out, &err), 0);
}

static void answer(struct fixture *f, unsigned i, const char *name, int64_t life_s)
{
    CLEANUP_BUF struct buf token = BUF_INIT;
    make_token(f, name, f->w.wall_ms / 1000, life_s, &token);
    assert_true(i < f->count && !f->asked[i].answered);
    f->asked[i].answered = true;
    f->asked[i].cb(&(struct tokens_answer){.token = buf_str(&token)}, f->asked[i].data);
}

/* The loop's timers that are due now: the clock is the test's, so what is not due is looked at as well. */
static void turn(struct fixture *f)
{
    uv_run(&f->loop, UV_RUN_NOWAIT);
    tokens_look(f->t);
}
static void pass_s(struct fixture *f, int64_t s)
{
    f->w.now_ms += s * 1000;
    f->w.wall_ms += s * 1000;
    turn(f);
}

#define EXPECT_TOLD(f, text)                                                                                           \
    do {                                                                                                               \
        assert_string_equal(buf_cstr(&(f)->told), (text));                                                             \
        buf_reset(&(f)->told);                                                                                         \
    } while (0)

#define CONTAINERS        "'containers':[{'name':'c','image':'i'}]"
#define TOKEN(path, more) "{'serviceAccountToken':{'path':'" path "'" more "}}"
#define ACCESS(sources)   "'volumes':[{'name':'access','projected':{'sources':[" sources "]}}]," CONTAINERS

static struct podspec *pod_named(const char *name, const char *spec)
{
    CLEANUP_FREE char *json =
        xasprintf("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'%s','namespace':'default','uid':'u-%s'},"
                  "'spec':{%s}}",
                  name, name, spec);
    CLEANUP_OBJECT struct object *o = object_of(json);
    struct podspec *s = NULL;
    struct error err = {0};
    if (podspec_new(o, &s, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return s;
}

static int get(struct fixture *f, const char *uid, struct str *token)
{
    return tokens_get(f->t, uid, STR(""), TOKEN_EXPIRATION_S, token, NULL);
}

static void a_pod_gets_the_tokens_that_its_volumes_want(void **state)
{
    struct fixture *f = *state;
    struct podspec *s = pod_named(
        "web", "'serviceAccountName':'robot','volumes':["
               "{'name':'a','projected':{'sources':[" TOKEN("t", "") ",{'configMap':{'name':'m'}}," TOKEN(
                   "v", ",'audience':'vault','expirationSeconds':600") "]}},{'name':'b','projected':{"
                                                                       "'sources':[" TOKEN("t", "") "]}}]," CONTAINERS);
    struct str token;
    tokens_set_masters(f->t, true);
    assert_int_equal(tokens_want(f->t, s, NULL, NULL), 0);
    assert_int_equal(f->count, 0); /* not inside the call */
    turn(f);
    assert_int_equal(f->count, 2); /* two volumes share one */
    assert_string_equal(f->asked[0].pod, "default/web/u-web");
    assert_string_equal(f->asked[0].account, "robot");
    assert_string_equal(f->asked[0].audience, "");
    assert_int_equal(f->asked[0].expiration_s, 3600);
    assert_string_equal(f->asked[1].audience, "vault");
    assert_int_equal(f->asked[1].expiration_s, 600);
    assert_int_equal(get(f, "u-web", &token), ERR_BUSY);
    EXPECT_TOLD(f, "");
    answer(f, 0, "one", 3600);
    EXPECT_TOLD(f, "came u-web\n");
    assert_int_equal(get(f, "u-web", &token), 0);
    assert_true(token.n > 60);
    assert_int_equal(tokens_get(f->t, "u-web", STR("vault"), 600, &token, NULL), ERR_BUSY);
    assert_int_equal(tokens_want(f->t, s, NULL, NULL), 0);
    turn(f);
    assert_int_equal(f->count, 2); /* asked for once */
    podspec_free(s);
}

static void a_token_is_renewed_at_four_fifths_of_its_life(void **state)
{
    struct fixture *f = *state;
    struct podspec *s = pod_named("web", ACCESS(TOKEN("t", "")));
    struct str token;
    tokens_set_masters(f->t, true);
    tokens_want(f->t, s, NULL, NULL);
    turn(f);
    answer(f, 0, "one", 3600);
    pass_s(f, 3600 * 76 / 100 - 2);
    assert_int_equal(f->count, 1);
    pass_s(f, 3600 * 4 / 100 + 4); /* the jitter makes it sooner, never later */
    assert_int_equal(f->count, 2);
    assert_int_equal(get(f, "u-web", &token), 0); /* the old one, until the new one is there */
    CLEANUP_FREE char *before = xstrndup(token.p, token.n);
    buf_reset(&f->told);
    answer(f, 1, "two", 3600);
    EXPECT_TOLD(f, "came u-web\n");
    assert_int_equal(get(f, "u-web", &token), 0);
    assert_false(str_is(token, before));
    podspec_free(s);
}

/* A master may grant another life than was asked for. */
static void the_life_is_what_the_token_says(void **state)
{
    struct fixture *f = *state;
    struct podspec *s = pod_named("web", ACCESS(TOKEN("t", "")));
    tokens_set_masters(f->t, true);
    tokens_want(f->t, s, NULL, NULL);
    turn(f);
    answer(f, 0, "short", 1000);
    pass_s(f, 759);
    assert_int_equal(f->count, 1);
    pass_s(f, 42);
    assert_int_equal(f->count, 2);
    answer(f, 1, "long", 100 * 86400);
    pass_s(f, 86400 * 94 / 100);
    assert_int_equal(f->count, 2);
    pass_s(f, 86400 * 6 / 100 + 1); /* never older than a day */
    assert_int_equal(f->count, 3);
    podspec_free(s);
}

static void one_that_is_over_at_once_is_not_asked_for_all_the_time(void **state)
{
    struct fixture *f = *state;
    struct podspec *s = pod_named("web", ACCESS(TOKEN("t", "")));
    tokens_set_masters(f->t, true);
    tokens_want(f->t, s, NULL, NULL);
    turn(f);
    answer(f, 0, "one", 1);
    pass_s(f, 5);
    assert_int_equal(f->count, 1);
    pass_s(f, 6);
    assert_int_equal(f->count, 2);
    podspec_free(s);
}

/* The machine slept: its own clock stood still, and the calendar went on. */
static void a_token_is_renewed_after_a_sleep(void **state)
{
    struct fixture *f = *state;
    struct podspec *s = pod_named("web", ACCESS(TOKEN("t", "")));
    tokens_set_masters(f->t, true);
    tokens_want(f->t, s, NULL, NULL);
    turn(f);
    answer(f, 0, "one", 3600);
    pass_s(f, 20);
    assert_int_equal(f->count, 1);
    f->w.wall_ms += 3600 * 1000;
    turn(f);
    assert_int_equal(f->count, 2);
    answer(f, 1, "two", 3600);
    /* And one whose calendar was set back. */
    f->w.wall_ms -= 30ll * 86400 * 1000;
    pass_s(f, 3600 * 80 / 100 + 1);
    assert_int_equal(f->count, 3);
    podspec_free(s);
}

static void only_so_many_are_asked_for_at_once(void **state)
{
    struct fixture *f = *state;
    enum { PODS = 110 };
    struct podspec *s[PODS];
    tokens_set_masters(f->t, true);
    for (unsigned i = 0; i < PODS; i++) {
        CLEANUP_FREE char *name = xasprintf("p%u", i);
        s[i] = pod_named(name, ACCESS(TOKEN("t", "")));
        assert_int_equal(tokens_want(f->t, s[i], NULL, NULL), 0);
    }
    turn(f);
    assert_int_equal(f->count, TOKENS_FLIGHT_MAX);
    for (unsigned i = 0; i < PODS; i++) {
        answer(f, i, "one", 3600);
    }
    assert_int_equal(f->count, PODS);
    assert_int_equal(f->most, TOKENS_FLIGHT_MAX);
    assert_int_equal(tokens_in_flight(f->t), 0);
    /* They do not ask together the next time either, and one who waits comes first. */
    pass_s(f, 3600 * 78 / 100);
    unsigned early = f->count - PODS;
    assert_true(early > 0 && early <= TOKENS_FLIGHT_MAX);
    pass_s(f, 3600 * 2 / 100 + 1);
    assert_int_equal(tokens_in_flight(f->t), TOKENS_FLIGHT_MAX);
    struct podspec *late = pod_named("late", ACCESS(TOKEN("t", "")));
    assert_int_equal(tokens_want(f->t, late, NULL, NULL), 0);
    unsigned next = f->count;
    answer(f, PODS, "two", 3600);
    assert_string_equal(f->asked[next].pod, "default/late/u-late");
    podspec_free(late);
    for (unsigned i = 0; i < PODS; i++) {
        podspec_free(s[i]);
    }
}

static void a_refusal_is_told_and_asked_again_after_growing_pauses(void **state)
{
    struct fixture *f = *state;
    struct podspec *s = pod_named("web", ACCESS(TOKEN("t", "")));
    tokens_set_masters(f->t, true);
    tokens_want(f->t, s, NULL, NULL);
    turn(f);
    answer_error(f, 0, ERR_NOT_FOUND, "serviceaccounts \"default\" not found");
    EXPECT_TOLD(f, "u-web access: waiting for a token of service account default: "
                   "serviceaccounts \"default\" not found\n");
    turn(f);
    assert_int_equal(f->count, 1);
    for (unsigned i = 1; i < 12; i++) {
        unsigned before = f->count;
        int64_t pause_s = MIN(1 << (i - 1), TOKENS_RETRY_MAX_MS / 1000);
        pass_s(f, pause_s - 1);
        assert_true(pause_s == 1 || f->count == before);
        pass_s(f, 1);
        assert_int_equal(f->count, before + 1);
        answer_error(f, before, ERR_NOT_FOUND, "serviceaccounts \"default\" not found");
    }
    unsigned told = 0;
    for (const char *p = buf_cstr(&f->told); (p = strstr(p, "u-web access")) != NULL; p++) {
        told++;
    }
    assert_int_equal(told, 3); /* of the second, fourth and eighth */
    podspec_free(s);
}

static void without_masters_nothing_is_asked_and_what_is_there_stays(void **state)
{
    struct fixture *f = *state;
    struct podspec *s = pod_named("web", ACCESS(TOKEN("t", ""))), *late = pod_named("late", ACCESS(TOKEN("t", "")));
    struct str token;
    tokens_set_masters(f->t, true);
    tokens_want(f->t, s, NULL, NULL);
    turn(f);
    answer(f, 0, "one", 3600);
    buf_reset(&f->told);
    tokens_set_masters(f->t, false);
    tokens_want(f->t, late, NULL, NULL);
    turn(f);
    EXPECT_TOLD(f, "u-late access: waiting for a token of service account default: no master answers\n");
    pass_s(f, 3599);
    EXPECT_TOLD(f, "");
    assert_int_equal(f->count, 1);
    pass_s(f, 2);
    EXPECT_TOLD(f, "u-web access: there is no newer token of service account default: no master answers\n");
    pass_s(f, 86400);
    EXPECT_TOLD(f, "");
    assert_int_equal(get(f, "u-web", &token), 0);
    /* One who waits asks first. */
    tokens_set_masters(f->t, true);
    turn(f);
    assert_int_equal(f->count, 3);
    assert_string_equal(f->asked[1].pod, "default/late/u-late");
    /* The master is lost before it answers: that is no refusal, and the next one is asked at once. */
    tokens_set_masters(f->t, false);
    answer_error(f, 1, ERR_UNKNOWN_OUTCOME, "another master serves this node now");
    answer_error(f, 2, ERR_UNKNOWN_OUTCOME, "another master serves this node now");
    EXPECT_TOLD(f, "");
    tokens_set_masters(f->t, true);
    turn(f);
    assert_int_equal(f->count, 4);
    assert_string_equal(f->asked[3].pod, "default/late/u-late");
    podspec_free(s);
    podspec_free(late);
}

static void a_pod_that_is_gone_asks_no_more(void **state)
{
    struct fixture *f = *state;
    struct podspec *s = pod_named("web", ACCESS(TOKEN("t", ""))), *other = pod_named("other", ACCESS(TOKEN("t", "")));
    struct str token;
    tokens_set_masters(f->t, true);
    tokens_want(f->t, s, NULL, NULL);
    tokens_want(f->t, other, NULL, NULL);
    turn(f);
    answer(f, 1, "other", 3600);
    buf_reset(&f->told);
    tokens_drop(f->t, "u-web"); /* while it is on the way */
    answer(f, 0, "one", 3600);
    EXPECT_TOLD(f, "");
    assert_int_equal(get(f, "u-web", &token), ERR_BUSY);
    tokens_drop(f->t, "u-other");
    assert_int_equal(get(f, "u-other", &token), ERR_BUSY);
    pass_s(f, 2 * 86400);
    assert_int_equal(f->count, 2);
    podspec_free(s);
    podspec_free(other);
}

static void a_pod_cannot_have_any_number_of_tokens(void **state)
{
    struct fixture *f = *state;
    CLEANUP_BUF struct buf sources = BUF_INIT;
    struct error err = {0};
    for (unsigned i = 0; i <= TOKENS_POD_MAX; i++) {
        buf_printf(&sources, "%s{'serviceAccountToken':{'path':'t%u','audience':'a%u'}}", i == 0 ? "" : ",", i, i);
    }
    CLEANUP_FREE char *spec = xasprintf(ACCESS("%s"), buf_cstr(&sources));
    struct podspec *s = pod_named("web", spec);
    tokens_set_masters(f->t, true);
    assert_int_equal(tokens_want(f->t, s, NULL, &err), ERR_LIMIT);
    assert_non_null(strstr(err.message, "at most 32 tokens"));
    podspec_free(s);
}

static void an_answer_without_a_token_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct podspec *s = pod_named("web", ACCESS(TOKEN("t", "")));
    static char huge[JWT_SIZE_MAX + 1];
    static const char zero[] = {'a', '\0', 'b'};
    const struct str bad[] = {STR(""), {huge, sizeof huge}, {zero, sizeof zero}};
    struct str token;
    memset(huge, 'a', sizeof huge);
    tokens_set_masters(f->t, true);
    tokens_want(f->t, s, NULL, NULL);
    turn(f);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        f->asked[i].answered = true;
        f->asked[i].cb(&(struct tokens_answer){.token = bad[i]}, f->asked[i].data);
        assert_int_equal(get(f, "u-web", &token), ERR_BUSY);
        pass_s(f, 60);
        assert_int_equal(f->count, i + 2);
    }
    assert_non_null(strstr(buf_cstr(&f->told), "the master's answer has no token"));
    /* One whose life cannot be read lives as the master has said, or as long as was asked for. */
    f->asked[3].answered = true;
    f->asked[3].cb(&(struct tokens_answer){.token = STR("opaque"), .expires_wall_ms = f->w.wall_ms + 1000000},
                   f->asked[3].data);
    pass_s(f, 759);
    assert_int_equal(f->count, 4);
    pass_s(f, 42);
    assert_int_equal(f->count, 5);
    f->asked[4].answered = true;
    f->asked[4].cb(&(struct tokens_answer){.token = STR("opaque")}, f->asked[4].data);
    pass_s(f, 3600 * 76 / 100 - 2);
    assert_int_equal(f->count, 5);
    pass_s(f, 3600 * 4 / 100 + 4);
    assert_int_equal(f->count, 6);
    podspec_free(s);
}

/* ---- Files ---- */

#define SECRET_OF(f, spec, i, out_files, out_count, out_secret, err)                                                   \
    podspec_volume_files((spec), &(spec)->volumes[i], &(f)->w.node.facts, &a, (out_files), (out_count), (out_secret),  \
                         (err))

static void the_file_of_a_token_is_its_readers_alone(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *spec;
        uint32_t mode;
        int64_t user;
    } rows[] = {
        {CONTAINERS, 0644, 0},
        {"'securityContext':{'fsGroup':7}," CONTAINERS, 0600, 0},
        {"'securityContext':{'runAsUser':1000}," CONTAINERS, 0600, 1000},
        {"'securityContext':{'runAsUser':0}," CONTAINERS, 0600, 0},
        {"'initContainers':[{'name':'i','image':'i','securityContext':{'runAsUser':5}}],'containers':[{'name':'c',"
         "'image':'i','securityContext':{'runAsUser':5}}]",
         0600, 5},
        {"'containers':[{'name':'c','image':'i','securityContext':{'runAsUser':5}},{'name':'d','image':'i'}]", 0644, 0},
        {"'containers':[{'name':'c','image':'i','securityContext':{'runAsUser':5}},{'name':'d','image':'i',"
         "'securityContext':{'runAsUser':6}}]",
         0644, 0},
    };
    f->w.node.facts.tokens = f->t;
    tokens_set_masters(f->t, true);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_ARENA struct arena a;
        CLEANUP_FREE char *name = xasprintf("p%u", i);
        CLEANUP_FREE char *spec =
            xasprintf("'volumes':[{'name':'v','projected':{'sources':[" TOKEN("dir/t", "") "]}}],%s", rows[i].spec);
        struct podspec *s = pod_named(name, spec);
        struct volume_file *files;
        unsigned count;
        bool secret;
        struct error err;
        arena_init(&a);
        assert_int_equal(SECRET_OF(f, s, 0, &files, &count, &secret, &err), ERR_BUSY);
        tokens_want(f->t, s, NULL, NULL);
        turn(f);
        answer(f, i, name, 3600);
        assert_int_equal(SECRET_OF(f, s, 0, &files, &count, &secret, &err), 0);
        assert_true(secret); /* in memory */
        assert_int_equal(count, 1);
        assert_string_equal(files[0].path, "dir/t");
        assert_int_equal(files[0].mode, rows[i].mode);
        assert_int_equal(files[0].user, rows[i].user);
        struct str token;
        assert_int_equal(tokens_get(f->t, s->uid, STR(""), 3600, &token, NULL), 0);
        assert_true(str_eq(files[0].content, token));
        podspec_free(s);
    }
}

/* After a power cut nothing is left in memory: a pod that was here begins, and has its file when a master answers. */
static void without_masters_a_pod_that_was_here_begins_without_its_token(void **state)
{
    struct fixture *f = *state;
    CLEANUP_ARENA struct arena a;
    struct podspec *s = pod_named("web", "'volumes':[{'name':'v','projected':{'sources':[" TOKEN(
                                             "t", "") ",{'downwardAPI':{'items':[{'path':'n','fieldRef':{'fieldPath':"
                                                      "'metadata.name'}}]}}]}}]," CONTAINERS);
    struct volume_file *files;
    unsigned count;
    bool secret;
    arena_init(&a);
    f->w.node.facts.tokens = f->t;
    tokens_want(f->t, s, NULL, NULL);
    assert_int_equal(SECRET_OF(f, s, 0, &files, &count, &secret, NULL), ERR_BUSY);
    tokens_go_without(f->t);
    assert_int_equal(SECRET_OF(f, s, 0, &files, &count, &secret, NULL), 0);
    assert_true(secret); /* from the beginning */
    assert_int_equal(count, 1);
    assert_string_equal(files[0].path, "n");
    turn(f);
    EXPECT_TOLD(f, "u-web v: going on without a token of service account default: no master answers\n");
    tokens_set_masters(f->t, true);
    assert_int_equal(SECRET_OF(f, s, 0, &files, &count, &secret, NULL), ERR_BUSY); /* what is there stays meanwhile */
    turn(f);
    answer(f, 0, "one", 3600);
    assert_int_equal(SECRET_OF(f, s, 0, &files, &count, &secret, NULL), 0);
    assert_int_equal(count, 2);
    tokens_set_masters(f->t, false);
    assert_int_equal(SECRET_OF(f, s, 0, &files, &count, &secret, NULL), 0);
    assert_int_equal(count, 2);
    podspec_free(s);
}

static void what_a_former_agent_left_is_held_until_it_is_too_old(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *name;
        int64_t issued_s; /* ago */
        const char *raw;  /* instead of a token; NULL = a token */
        bool asks_at_once, held;
    } rows[] = {
        {"young", 100, NULL, false, true},   {"old", 3000, NULL, true, true}, {"over", 10000, NULL, true, true},
        {"early", -5000, NULL, false, true}, {"none", 0, "", true, false},    {"odd", 0, "no.token.this", true, false},
    };
    char dir[64] = "/tmp/reeve-tokens-XXXXXX", pods[80], path[VOLUME_PATH_MAX];
    struct volume_store *store;
    assert_non_null(mkdtemp(dir));
    snprintf(pods, sizeof pods, "%s/pods", dir);
    assert_int_equal(volume_store_new(&f->loop, pods, NULL, &store, NULL), 0);
    tokens_set_masters(f->t, true);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        CLEANUP_BUF struct buf token = BUF_INIT;
        struct podspec *s = pod_named(rows[i].name, ACCESS(TOKEN("t", "")));
        make_token(f, rows[i].name, f->w.wall_ms / 1000 - rows[i].issued_s, 3600, &token);
        struct volume_file file = {.path = "t", .content = rows[i].raw != NULL ? str_of(rows[i].raw) : buf_str(&token)};
        assert_int_equal(volume_files(store, s->uid, "access", false, &file, 1, -1, path, NULL, NULL), 0);
        unsigned before = f->count;
        assert_int_equal(tokens_want(f->t, s, store, NULL), 0);
        turn(f);
        assert_int_equal(f->count - before, rows[i].asks_at_once);
        struct str held;
        assert_int_equal(get(f, s->uid, &held), rows[i].held ? 0 : ERR_BUSY);
        assert_true(!rows[i].held || str_eq(held, buf_str(&token)));
        podspec_free(s);
    }
    unsigned before = f->count; /* one that was there before is renewed by its own age */
    pass_s(f, 3600 * 76 / 100 - 102);
    assert_int_equal(f->count, before);
    pass_s(f, 3600 * 4 / 100 + 4);
    assert_true(f->count > before);
    assert_string_equal(f->asked[before].pod, "default/young/u-young");
    volume_store_close(store, NULL, NULL);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(fs_remove_tree(dir, NULL), 0);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(a_pod_gets_the_tokens_that_its_volumes_want),
        ROW(a_token_is_renewed_at_four_fifths_of_its_life),
        ROW(the_life_is_what_the_token_says),
        ROW(one_that_is_over_at_once_is_not_asked_for_all_the_time),
        ROW(a_token_is_renewed_after_a_sleep),
        ROW(only_so_many_are_asked_for_at_once),
        ROW(a_refusal_is_told_and_asked_again_after_growing_pauses),
        ROW(without_masters_nothing_is_asked_and_what_is_there_stays),
        ROW(a_pod_that_is_gone_asks_no_more),
        ROW(a_pod_cannot_have_any_number_of_tokens),
        ROW(an_answer_without_a_token_is_an_error),
        ROW(the_file_of_a_token_is_its_readers_alone),
        ROW(without_masters_a_pod_that_was_here_begins_without_its_token),
        ROW(what_a_former_agent_left_is_held_until_it_is_too_old),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
