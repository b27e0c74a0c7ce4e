#include "master/auth/rate.h"

#include <stdio.h>

#include "master/auth/allowance.h"
#include "master/front/errand.h"
#include "master/master.h"

static struct allowance *rate_new(const struct master *m, int64_t per_s)
{
    return per_s == 0 ? NULL : allowance_new(m->env, per_s * RATE_BURST_S, 1000000 / per_s);
}

void rates_init(struct master *m)
{
    int64_t node = m->config.node_requests_s;
    m->node_rate = rate_new(m, node == 0 ? MASTER_NODE_RATE_DEFAULT : node);
    m->user_rate = rate_new(m, m->config.user_requests_s);
}

bool rate_takes(struct errand *e)
{
    struct master *m = e->api.m;
    const struct principal *who = principal_asker(e->who);
    bool node = who->role == PKI_ROLE_NODE;
    bool user = who->role == PKI_ROLE_ADMIN || who->role == PKI_ROLE_USER;
    struct allowance *a = node ? m->node_rate : user ? m->user_rate : NULL;
    char key[PKI_NAME_MAX + 2]; /* an administrator's allowance is not that of a user with his name */
    snprintf(key, sizeof key, "%s%s", who->role == PKI_ROLE_ADMIN ? "/" : "", who->name);
    int64_t wait_ms = a == NULL ? 0 : allowance_take(a, str_of(key), 1, env_now_ms(m->env));
    if (wait_ms == 0) {
        return true;
    }
    struct error err = {0};
    m->stats.over_rate++;
    error_set(
        &err, ERR_BUSY,
        "%.*s: %s \"%s\" asks more often than %lld times a second (%sRequestsPerSecond in the masters' master.yaml); "
        "nothing was done; the next is taken in %lld ms",
        STR_ARG(e->name), node ? "node" : "user", who->name, 1000000LL / (long long)a->every_us, node ? "node" : "user",
        (long long)wait_ms);
    err.retry_after_ms = (int)wait_ms;
    errand_fail_now(e, &err);
    return false;
}
