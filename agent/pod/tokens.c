#include "agent/pod/tokens.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/pod/source.h"
#include "agent/util/backoff.h"
#include "base/list.h"
#include "proto/jwt/jwt.h"

#define LIFE_MAX_S     (1ll << 32) /* as the API bounds it */
#define WHY_MAX        300
#define NO_MASTER      "no master answers"
#define RENEW_PERCENT  80
#define JITTER_PERCENT 5

struct token {
    struct list link; /* in order of coming */
    struct tokens *tokens;
    char *uid, *ns, *account, *pod, *audience;
    char *volume; /* one of those that want it */
    int64_t expiration_s;
    char *text; /* NULL: there is none yet */
    int64_t over_wall_ms;
    int64_t renew_ms, renew_wall_ms; /* whichever is first */
    int64_t again_ms;                /* not before */
    struct backoff backoff;
    unsigned failures;
    char why[WHY_MAX]; /* why it is not there, as it was told; "" = nothing was */
    bool asking, dropped;
};
struct tokens {
    struct tokens_config config;
    struct list all;
    unsigned in_flight;
    bool masters, without, closing;
    uv_timer_t timer;
    void (*close_cb)(void *data);
    void *close_data;
};

/* ---- One token ---- */

static void forget_text(struct token *k)
{
    if (k->text != NULL) {
        mem_wipe(k->text, strlen(k->text));
        free(TAKE_PTR(k->text));
    }
}

static void free_token(struct token *k)
{
    list_remove(&k->link);
    forget_text(k);
    free(k->uid);
    free(k->ns);
    free(k->account);
    free(k->pod);
    free(k->audience);
    free(k->volume);
    free(k);
}

static struct token *find(const struct tokens *t, const char *uid, struct str audience, int64_t expiration_s)
{
    LIST_FOR(it, &t->all)
    {
        struct token *k = LIST_ENTRY(it, struct token, link);
        if (!k->dropped && k->expiration_s == expiration_s && strcmp(k->uid, uid) == 0 &&
            str_is(audience, k->audience)) {
            return k;
        }
    }
    return NULL;
}

/* issued_wall_ms: by this node's clock. */
static void hold(struct token *k, struct str text, int64_t issued_wall_ms, int64_t life_s)
{
    const struct env *env = k->tokens->config.env;
    int64_t now_ms = env_now_ms(env), wall_ms = env_wall_ms(env);
    int64_t life_ms = MAX(MIN(life_s, LIFE_MAX_S), 1) * 1000, after_ms = life_ms / 100 * RENEW_PERCENT;
    uint32_t random;
    env_random(env, &random, sizeof random);
    after_ms = MIN(after_ms, TOKENS_AGE_MAX_MS);
    after_ms -= after_ms / 100 * JITTER_PERCENT * (random % 1000) / 1000;
    forget_text(k);
    k->text = xstrndup(text.p, text.n);
    k->over_wall_ms = issued_wall_ms + life_ms;
    k->renew_wall_ms = issued_wall_ms + after_ms;
    k->renew_ms = now_ms + MAX(MIN(k->renew_wall_ms - wall_ms, after_ms), 0);
    k->failures = 0;
    k->why[0] = '\0';
    backoff_reset(&k->backoff);
}

static bool is_due(const struct token *k, int64_t now_ms, int64_t wall_ms)
{
    return !k->asking && !k->dropped && now_ms >= k->again_ms &&
           (k->text == NULL || now_ms >= k->renew_ms || wall_ms >= k->renew_wall_ms);
}

static void tell(struct token *k, const char *why)
{
    char message[WHY_MAX + 200];
    bool over = k->text != NULL;
    if (over && env_wall_ms(k->tokens->config.env) < k->over_wall_ms) {
        return; /* nobody lacks it yet */
    }
    if (strcmp(k->why, why) == 0 && (k->failures & (k->failures - 1)) != 0) {
        return;
    }
    snprintf(k->why, sizeof k->why, "%s", why);
    snprintf(message, sizeof message, "%s token of service account %.100s: %s",
             over                 ? "there is no newer"
             : k->tokens->without ? "going on without a"
                                  : "waiting for a",
             k->account, k->why);
    k->tokens->config.lacks(k->uid, k->volume, message, k->tokens->config.data);
}

/* ---- Asking ---- */

static void go_on(struct tokens *t);

/* The master is lost, which is no refusal: the next one is asked, and if there is none tokens_look tells so. */
static bool is_lost(const struct error *error)
{
    return error->code == ERR_CLOSED || error->code == ERR_CANCELED || error->code == ERR_UNKNOWN_OUTCOME;
}

static void take_answer(struct token *k, const struct tokens_answer *answer)
{
    struct tokens *t = k->tokens;
    int64_t now_ms = env_now_ms(t->config.env), wall_ms = env_wall_ms(t->config.env);
    int64_t issued_s, expires_s, life_s = k->expiration_s;
    if (answer->error != NULL) {
        k->failures++;
        k->again_ms = now_ms + backoff_grow(&k->backoff, now_ms);
        log_debug(t->config.log, "tokens", "%s/%s: no token of %s: %s", k->ns, k->pod, k->account,
                  answer->error->message);
        if (!is_lost(answer->error)) {
            tell(k, answer->error->message);
        }
        return;
    }
    if (jwt_life(answer->token, &issued_s, &expires_s)) {
        life_s = expires_s - issued_s;
    } else if (answer->expires_wall_ms > wall_ms) {
        life_s = (answer->expires_wall_ms - wall_ms) / 1000;
    }
    hold(k, answer->token, wall_ms, life_s);
    k->again_ms = now_ms + TOKENS_AGAIN_MIN_MS;
    log_debug(t->config.log, "tokens", "%s/%s: a token of %s for %" PRId64 " s", k->ns, k->pod, k->account, life_s);
    t->config.came(k->uid, t->config.data);
}

static void on_answer(const struct tokens_answer *answer, void *data)
{
    struct token *k = data;
    struct tokens *t = k->tokens;
    struct error none;
    struct tokens_answer refused = {.error = &none};
    assert(k->asking && t->in_flight > 0);
    k->asking = false;
    t->in_flight--;
    if (answer->error == NULL && (answer->token.n == 0 || answer->token.n > JWT_SIZE_MAX ||
                                  memchr(answer->token.p, '\0', answer->token.n) != NULL)) {
        error_set(&none, ERR_PROTOCOL, "the master's answer has no token");
        answer = &refused;
    }
    if (k->dropped || t->closing) {
        free_token(k);
    } else {
        take_answer(k, answer);
    }
    if (!t->closing) {
        go_on(t);
    }
}

static void ask(struct token *k)
{
    struct tokens *t = k->tokens;
    const struct tokens_request r = {.ns = k->ns,
                                     .account = k->account,
                                     .pod = k->pod,
                                     .pod_uid = k->uid,
                                     .audience = k->audience,
                                     .expiration_s = k->expiration_s};
    k->asking = true;
    t->in_flight++;
    t->config.ask(&r, on_answer, k, t->config.data);
}

static void on_timer(uv_timer_t *timer)
{
    go_on(timer->data);
}

/* As many as may be on the way: first those that pods wait for. */
static void ask_due(struct tokens *t, int64_t now_ms, int64_t wall_ms)
{
    for (int waiting = 1; waiting >= 0; waiting--) {
        LIST_FOR(it, &t->all)
        {
            struct token *k = LIST_ENTRY(it, struct token, link);
            if (t->in_flight == TOKENS_FLIGHT_MAX) {
                return;
            }
            if ((k->text == NULL) == (waiting == 1) && is_due(k, now_ms, wall_ms)) {
                ask(k);
            }
        }
    }
}

/* What is due is asked for, and the timer goes off when the next one is. With as many on the way as may be an answer
 * goes on. */
static void go_on(struct tokens *t)
{
    int64_t now_ms = env_now_ms(t->config.env), next_ms = INT64_MAX;
    uv_timer_stop(&t->timer);
    if (!t->masters || t->closing) {
        return;
    }
    ask_due(t, now_ms, env_wall_ms(t->config.env));
    LIST_FOR(it, &t->all)
    {
        const struct token *k = LIST_ENTRY(it, struct token, link);
        if (!k->asking && !k->dropped) {
            next_ms = MIN(next_ms, MAX(k->again_ms, k->text == NULL ? 0 : k->renew_ms));
        }
    }
    if (next_ms != INT64_MAX && t->in_flight < TOKENS_FLIGHT_MAX) {
        uv_timer_start(&t->timer, on_timer, (uint64_t)MAX(next_ms - now_ms, 1), 0);
    }
}

/* ---- From outside ---- */

static void go_on_soon(struct tokens *t)
{
    if (t->masters && !t->closing) {
        uv_timer_start(&t->timer, on_timer, 0, 0);
    }
}

/* What a former agent has laid out, unless it cannot be told how old it is. */
static void adopt(struct token *k, struct volume_store *store, struct str path)
{
    CLEANUP_FREE char *file = xstrndup(path.p, path.n);
    CLEANUP_BUF_WIPE struct buf text = BUF_INIT;
    int64_t issued_s, expires_s;
    buf_reserve(&text, JWT_SIZE_MAX + 1);
    if (volume_read(store, k->uid, k->volume, file, JWT_SIZE_MAX, &text, NULL) == 0 &&
        jwt_life(buf_str(&text), &issued_s, &expires_s)) {
        hold(k, buf_str(&text), MIN(issued_s, INT64_MAX / 2000) * 1000, expires_s - issued_s);
    }
}

static struct token *add(struct tokens *t, const struct podspec *s, const char *volume, const struct token_source *w)
{
    struct token *k = xcalloc(1, sizeof *k);
    k->tokens = t;
    k->uid = xstrdup(s->uid);
    k->ns = xstrdup(s->ns);
    k->account = xstrdup(s->service_account);
    k->pod = xstrdup(s->name);
    k->audience = xstrndup(w->audience.n == 0 ? "" : w->audience.p, w->audience.n);
    k->volume = xstrdup(volume);
    k->expiration_s = w->expiration_s;
    backoff_init(&k->backoff, TOKENS_RETRY_BASE_MS, TOKENS_RETRY_MAX_MS);
    list_push_back(&t->all, &k->link);
    return k;
}

static unsigned count_of(const struct tokens *t, const char *uid)
{
    unsigned count = 0;
    LIST_FOR(it, &t->all)
    {
        const struct token *k = LIST_ENTRY(it, struct token, link);
        count += !k->dropped && strcmp(k->uid, uid) == 0;
    }
    return count;
}

int tokens_want(struct tokens *t, const struct podspec *s, struct volume_store *store, struct error *err)
{
    for (unsigned i = 0; i < s->volumes_count; i++) {
        const struct podspec_volume *v = &s->volumes[i];
        struct token_source wanted;
        for (unsigned cursor = 0; v->how == &source_projected && token_source_next(v, &cursor, &wanted);) {
            if (find(t, s->uid, wanted.audience, wanted.expiration_s) != NULL) {
                continue;
            }
            if (count_of(t, s->uid) == TOKENS_POD_MAX) {
                return error_set(err, ERR_LIMIT, "a pod can have at most %u tokens of different kinds", TOKENS_POD_MAX);
            }
            struct token *k = add(t, s, v->name, &wanted);
            if (store != NULL) {
                adopt(k, store, wanted.path);
            }
            go_on_soon(t);
        }
    }
    return 0;
}

void tokens_drop(struct tokens *t, const char *uid)
{
    LIST_FOR_SAFE(it, &t->all)
    {
        struct token *k = LIST_ENTRY(it, struct token, link);
        if (strcmp(k->uid, uid) != 0) {
            continue;
        }
        if (k->asking) {
            k->dropped = true;
            forget_text(k);
        } else {
            free_token(k);
        }
    }
}

void tokens_set_masters(struct tokens *t, bool there)
{
    t->masters = there;
    t->without = t->without && !there;
    LIST_FOR(it, &t->all)
    {
        struct token *k = LIST_ENTRY(it, struct token, link);
        if (there && k->text == NULL) { /* another master may know better */
            k->again_ms = 0;
            backoff_reset(&k->backoff);
        }
    }
    if (there) {
        go_on_soon(t);
    } else {
        uv_timer_stop(&t->timer);
    }
}

void tokens_go_without(struct tokens *t)
{
    t->without = !t->masters;
}

void tokens_look(struct tokens *t)
{
    if (t->masters) {
        go_on(t);
        return;
    }
    int64_t wall_ms = env_wall_ms(t->config.env);
    LIST_FOR(it, &t->all)
    {
        struct token *k = LIST_ENTRY(it, struct token, link);
        if (!k->dropped && (k->text == NULL || wall_ms >= k->over_wall_ms)) {
            if (strcmp(k->why, NO_MASTER) != 0) {
                tell(k, NO_MASTER);
            }
        }
    }
}

int tokens_get(const struct tokens *t, const char *uid, struct str audience, int64_t expiration_s, struct str *token,
               struct error *err)
{
    const struct token *k = find(t, uid, audience, expiration_s);
    if (k != NULL && k->text == NULL && t->without) {
        return error_set(err, ERR_NOT_FOUND, "there is no token of the service account");
    }
    if (k == NULL || k->text == NULL) {
        return error_set(err, ERR_BUSY, "the token of the service account is not there yet");
    }
    *token = str_of(k->text);
    return 0;
}

unsigned tokens_in_flight(const struct tokens *t)
{
    return t->in_flight;
}

/* ---- Life ---- */

struct tokens *tokens_new(const struct tokens_config *c)
{
    struct tokens *t = xcalloc(1, sizeof *t);
    t->config = *c;
    list_init(&t->all);
    uv_timer_init(c->loop, &t->timer);
    t->timer.data = t;
    return t;
}

static void on_closed(uv_handle_t *h)
{
    struct tokens *t = h->data;
    void (*cb)(void *data) = t->close_cb;
    void *data = t->close_data;
    while (!list_empty(&t->all)) {
        free_token(LIST_ENTRY(t->all.next, struct token, link));
    }
    free(t);
    cb(data);
}

void tokens_close(struct tokens *t, void (*cb)(void *data), void *data)
{
    assert(!t->closing && t->in_flight == 0);
    t->closing = true;
    t->close_cb = cb;
    t->close_data = data;
    uv_close((uv_handle_t *)&t->timer, on_closed);
}
