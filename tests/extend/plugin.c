/* A plugin of one file and one line: a node takes pods of one scheduling hint only, here the DNS policy of its
 * label. */
#include "scheduler/plugins/plugin.h"

static bool fits(const struct sched_class *c, const struct sched_node *n, struct reasons *why)
{
    struct str wanted = mp_str(mp_get_str_key(n->labels, STR("example.io/dns")));
    if (str_empty(wanted) || str_eq(mp_str(mp_path(object_mp(c->sample), "spec.dnsPolicy")), wanted)) {
        return true;
    }
    reasons_add(why, "node(s) had another DNS policy");
    return false;
}

static const char *const reads[] = {"dnsPolicy", NULL};

const struct plugin plugin_dns_policy = {
    .name = "DnsPolicy",
    .fixed = true,
    .reads = reads,
    .fits = fits,
};
