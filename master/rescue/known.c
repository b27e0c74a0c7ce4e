/* A line per master: "ID ROLE ADDRESS". Only who comes back from damage reads it, to know whom to ask and whether there
 * is anybody; so it may be a little old, and a failure to write it harms nobody now. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/master.h"
#include "master/members/members.h"
#include "master/rescue/repair.h"

#define FILE_MAX (64u << 10)

unsigned known_read(const struct master_config *c, struct known_master *out, unsigned max)
{
    char path[600];
    CLEANUP_FREE char *text = NULL;
    unsigned n = 0;
    master_config_path(c, "masters", path, sizeof path);
    if (pki_read_file(path, FILE_MAX, &text, NULL, NULL) != 0) {
        return 0;
    }
    char *save = NULL;
    static_assert(NET_ADDR_MAX > 255, "the width below");
    for (char *line = strtok_r(text, "\n", &save); line != NULL && n < max; line = strtok_r(NULL, "\n", &save)) {
        n += sscanf(line, "%" SCNu64 " %15s %255s", &out[n].id, out[n].role, out[n].address) == 3;
    }
    return n;
}

void known_note(struct master *m)
{
    struct replica_member members[64];
    CLEANUP_BUF struct buf b = BUF_INIT;
    unsigned n = replica_members(m->replica, members, ARRAY_SIZE(members));
    for (unsigned i = 0; i < n; i++) {
        buf_printf(&b, "%" PRIu64 " %s %s\n", members[i].id, members_role(members[i].role), members[i].address);
    }
    const char *text = buf_cstr(&b);
    if (n == 0 || (m->known_masters != NULL && strcmp(text, m->known_masters) == 0)) {
        return;
    }
    char path[600];
    struct error err = {0};
    master_config_path(&m->config, "masters", path, sizeof path);
    if (pki_write_file(path, text, b.size, 0644, &err) != 0) {
        log_warn(&m->log, "repair", "%s; tried again with the next change", err.message);
    }
    free(m->known_masters);
    m->known_masters = xstrdup(text);
}
