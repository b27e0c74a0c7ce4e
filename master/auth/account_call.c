/* account.rotate: another key signs tokens of service accounts from now on. */
#include "master/auth/account_keys.h"
#include "master/front/call.h"

static void rotated(const struct txn_result *result, const struct error *error, void *data)
{
    (void)result;
    struct call *c = data;
    if (error != NULL) {
        call_fail(c, error);
        return;
    }
    struct buf b = BUF_INIT;
    log_info(&c->m->log, "accounts", "user \"%s\" has another key sign tokens of service accounts", c->e.who->name);
    mp_write_map(&b, 1);
    mp_write_key_int(&b, "signsAfterSeconds", ACCOUNT_KEYS_SPREAD_S);
    call_reply(c, &b);
    buf_close(&b);
}

static void method_account_rotate(struct call *c)
{
    struct master *m = c->m;
    struct error err = {0};
    struct txn t;
    txn_init(&t, "account-keys");
    if (account_keys_rotate(m, &t, &err) != 0) {
        call_fail(c, &err);
    } else {
        replica_submit(m->replica, &t, rotated, c, NULL); /* a refusal comes by the callback as well */
        master_wake(m);
    }
    txn_close(&t);
}

const struct method request_account_rotate = {"account.rotate", method_account_rotate, METHOD_WRITE, ""};
