// SPDX-License-Identifier: Apache-2.0
#pragma once
/* A plugin: its shared object loaded, its descriptor checked. */
#include "base/err.h"
#include "client/include/futured/plugin.h"

enum { PLUGIN_FUNCTIONS_MAX = 1000, PLUGIN_CONTENT_TYPES_MAX = 16, PLUGIN_TEXT_BYTES = 512 };

struct plugin {
    void *handle;
    const struct futured_plugin *descriptor; /* in the shared object */
};

/* plugin_open: load @path and check what it exports.
 *   Owns:   on 0 the caller plugin_closes @ret. Its constructors have run in any case.
 *   Return: 0; PLUGIN_E_LOAD (it cannot be loaded); PLUGIN_E_BAD (it exports no descriptor of this version, or a wrong
 *           one). @why names the file and what is wrong, such as a symbol. */
enum { PLUGIN_E_LOAD = 1, PLUGIN_E_BAD };
MUST_CHECK int plugin_open(struct plugin *ret, const char *path, char why[static PLUGIN_TEXT_BYTES]);
void plugin_close(struct plugin *p);

/* plugin_function: the @i-th of descriptor->n_functions. What was added to the structure since the first version is for the
 * functions below to read: the plugin's may be shorter.
 * plugin_options: the options that it says for its tasks, as a whole structure with 0 for what it does not know; none are
 * all 0. */
const struct futured_plugin_function *plugin_function(const struct plugin *p, size_t i);
struct futured_options plugin_options(const struct plugin *p, size_t i);
