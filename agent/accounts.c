#include "agent/accounts.h"

#include <stdlib.h>

#include "agent/pod/pods.h"
#include "agent/pod/tokens.h"
#include "base/timefmt.h"

struct call {
    tokens_answer_cb *cb;
    void *data;
};

static void on_answer(const struct rpc_result *r, void *data)
{
    struct call *c = data;
    struct tokens_answer answer = {.error = r->error};
    if (r->error == NULL) {
        answer.token = mp_str(mp_get(r->result, "token"));
        if (!timefmt_parse(mp_str(mp_get(r->result, "expirationTimestamp")), &answer.expires_wall_ms)) {
            answer.expires_wall_ms = 0;
        }
    }
    c->cb(&answer, c->data);
    free(c);
}

static void ask(const struct tokens_request *r, tokens_answer_cb *cb, void *cb_data, void *data)
{
    struct agent *a = data;
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct call *c = xmalloc(sizeof *c);
    *c = (struct call){cb, cb_data};
    mp_write_map(&b, 7);
    mp_write_key_str(&b, "namespace", str_of(r->ns));
    mp_write_key_str(&b, "name", str_of(r->account));
    mp_write_key_str(&b, "boundName", str_of(r->pod));
    mp_write_key_str(&b, "boundUid", str_of(r->pod_uid));
    mp_write_key_str(&b, "boundKind", STR("Pod"));
    mp_write_key_int(&b, "expirationSeconds", r->expiration_s);
    mp_write_cstr(&b, "audiences");
    mp_write_array(&b, r->audience[0] != '\0');
    if (r->audience[0] != '\0') {
        mp_write_cstr(&b, r->audience);
    }
    session_call(a->session, "account.token", buf_str(&b), on_answer, c);
}

void accounts_open(struct agent *a)
{
    a->tokens = tokens_new(&(struct tokens_config){.loop = a->loop,
                                                   .env = a->env,
                                                   .log = a->log,
                                                   .ask = ask,
                                                   .came = pods_on_token,
                                                   .lacks = pods_on_token_lacking,
                                                   .data = a});
}

void accounts_on_masters(struct agent *a, bool there)
{
    if (a->tokens != NULL) {
        tokens_set_masters(a->tokens, there);
    }
}

void accounts_alone(struct agent *a)
{
    if (a->tokens != NULL) {
        tokens_go_without(a->tokens);
    }
}

void accounts_check(struct agent *a)
{
    if (a->tokens != NULL) {
        tokens_look(a->tokens);
    }
}

bool accounts_close(struct agent *a, void (*cb)(void *data), void *data)
{
    if (a->tokens == NULL) {
        return false;
    }
    tokens_close(TAKE_PTR(a->tokens), cb, data);
    return true;
}
