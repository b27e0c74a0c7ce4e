#include <signal.h>
#include <string.h>

#include "base/hash.h"
#include "base/process.h"
#include "client/cmd/rctl.h"
#include "client/up/up.h"
#include "proto/pki/pki.h"

int main(int argc, char **argv)
{
    const char *const *words = (const char *const *)argv;
    /* Not a command for people: what `rctl up` runs as pid 1 of a node. */
    if (argc > 1 && strcmp(words[1], "node-init") == 0) {
        return up_node_main(argc - 2, words + 2);
    }
    signal(SIGPIPE, SIG_IGN);
    process_hide_memory();
    pki_wipe_what_is_freed();
    hash_seed_draw(env_real());
    return rctl_main(argc, words, stdout, stderr);
}
