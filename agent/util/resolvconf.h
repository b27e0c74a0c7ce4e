/* resolv.conf(5): name servers, domains to search, options. Pure.
 *
 * Limits are the resolver's own, and the kubelet's for domains; what is beyond them is left out. "The last search or
 * domain line counts." */
#ifndef AGENT_UTIL_RESOLVCONF_H
#define AGENT_UTIL_RESOLVCONF_H

#include "base/str.h"

#define RESOLVCONF_SERVERS_MAX  3u
#define RESOLVCONF_SEARCHES_MAX 32u
#define RESOLVCONF_OPTIONS_MAX  32u
#define RESOLVCONF_BYTES_MAX    (1u << 20) /* of a file that is read */

struct resolvconf_words {
    struct str list[RESOLVCONF_SEARCHES_MAX]; /* the largest of the three */
    unsigned count, max;
};
struct resolvconf {
    struct resolvconf_words servers, searches, options;
};
void resolvconf_init(struct resolvconf *r);
/* Adds what the text says behind what is there. Words are borrowed from it. */
void resolvconf_read(struct resolvconf *r, struct str text);
/* It names systemd-resolved's own server alone, which asks those that its file names: behind it one would be asked
 * with one's own search path, or be led back to. */
#define RESOLVCONF_REAL "/run/systemd/resolve/resolv.conf"
bool resolvconf_is_stub(const struct resolvconf *r);
/* Once each. */
void resolvconf_add(struct resolvconf_words *w, struct str word);
/* One of the same name ("ndots:1", "ndots:5") is replaced. */
void resolvconf_add_option(struct resolvconf_words *w, struct str word);

#endif
