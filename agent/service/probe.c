#include "agent/service/probe.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>

/* One missing option would fail the whole skeleton without saying which: siderolabs/pkgs#951. */

static void hook(struct nft *n, const char *type, unsigned where)
{
    nft_add_hook(n, "c", type, where, 0);
    nft_rule(n, "c");
}

static void probe_table(struct nft *n)
{
    nft_add_chain(n, "c");
    nft_rule(n, "c");
    nft_load_source(n, 0);
    nft_mask(n, 0, 0xff);
    nft_compare(n, 0, true, &(uint32_t){0}, 4);
    nft_load_protocol(n, 0);
    nft_rule_end(n);
}

static void probe_connections(struct nft *n)
{
    hook(n, "filter", NF_INET_PRE_ROUTING);
    nft_load_state(n, 0);
    nft_load_first_destination(n, 1);
    nft_load_first_port(n, 2);
    nft_rule_end(n);
}

static void probe_translation(struct nft *n)
{
    hook(n, "nat", NF_INET_PRE_ROUTING);
    nft_load_source(n, 0);
    nft_load_port(n, 1);
    nft_translate(n, 0, 1);
    nft_rule_end(n);
}

static void probe_masquerade(struct nft *n)
{
    hook(n, "nat", NF_INET_POST_ROUTING);
    nft_masquerade(n);
    nft_rule_end(n);
}

static void probe_draw(struct nft *n)
{
    nft_add_chain(n, "c");
    nft_rule(n, "c");
    nft_draw(n, 0, 2, 1);
    nft_rule_end(n);
}

static void probe_refusal(struct nft *n)
{
    hook(n, "filter", NF_INET_PRE_ROUTING);
    nft_reject(n, false);
    nft_rule_end(n);
}

static void probe_maps(struct nft *n)
{
    nft_add_set(n, &(struct nft_set){"m", NFT_SET_MAP, 19, 12, 19, 16, NULL, 0, 1});
    nft_add_chain(n, "c");
    nft_rule(n, "c");
    nft_load_source(n, 0);
    nft_load_source(n, 1);
    nft_load_source(n, 2);
    nft_lookup(n, "m", 0, 3);
    nft_rule_end(n);
}

static void probe_memory(struct nft *n)
{
    nft_add_set(n, &(struct nft_set){"m", NFT_SET_MAP | NFT_SET_TIMEOUT | NFT_SET_EVAL, 19, 4, 19, 4, NULL, 16, 1});
    nft_add_chain(n, "c");
    nft_rule(n, "c");
    nft_load_source(n, 0);
    nft_load_destination(n, 1);
    nft_update(n, "m", 0, 1, 1000);
    nft_forget(n, "m", 0, 1);
    nft_rule_end(n);
}

static void probe_ranges(struct nft *n)
{
    static const uint8_t fields[] = {4, 4, 0};
    nft_add_set(n, &(struct nft_set){"s", NFT_SET_INTERVAL | NFT_SET_CONCAT, 19, 8, 0, 0, fields, 0, 1});
}

static const struct probe_feature needed[] = {
    {"nf_tables for IPv4", "NF_TABLES, NF_TABLES_IPV4", probe_table},
    {"what connections were begun with", "NFT_CT, NF_CONNTRACK", probe_connections},
    {"translation of destinations", "NFT_NAT, NF_NAT", probe_translation},
    {"masquerading", "NFT_MASQ", probe_masquerade},
    {"random numbers", "NFT_NUMGEN", probe_draw},
    {"refusing before routing", "NFT_REJECT, Linux 5.9", probe_refusal},
    {"maps of several fields", "NF_TABLES", probe_maps},
    {"sets that packets write to", "NF_TABLES", probe_memory},
    {"ranges of several fields", "NF_TABLES, Linux 5.6", probe_ranges},
};

int probe_features(const struct probe_feature *features, unsigned count, const struct probe_words *words,
                   service_probe_try *try, void *data, struct error *err)
{
    CLEANUP_BUF struct buf missing = BUF_INIT;
    for (unsigned i = 0; i < count; i++) {
        struct nft n = {0};
        nft_begin(&n, words->table);
        nft_add_table(&n);
        features[i].write(&n); /* no end: nothing of it is kept */
        int rc = try(&n, data);
        nft_close(&n);
        if (rc == -EPERM) {
            return error_set_errno(err, EPERM, "cannot change the kernel's packet filter");
        }
        if (rc != 0) {
            buf_printf(&missing, "%s%s (%s)", missing.size > 0 ? ", " : "", features[i].what, features[i].option);
        }
    }
    return missing.size == 0 ? 0
                             : error_set(err, ERR_UNSUPPORTED, "this kernel cannot %s; it lacks: %s", words->what,
                                         buf_cstr(&missing));
}

int service_probe(service_probe_try *try, void *data, struct error *err)
{
    static const struct probe_words words = {"reeve-services-probe", "balance services"};
    return probe_features(needed, ARRAY_SIZE(needed), &words, try, data, err);
}
