<?php
// WordPress as Debian packages it: its own tables, its own log-in (`wp_signon` as wp-login.php calls it), its own cookies.
// The second factor is what the plug-in Two-Factor keeps in the user's metadata.

require __DIR__ . '/../protocol.php';

// No mail goes out of a test: a function that WordPress lets an application define in place of its own.
function wp_mail(...$mail): bool
{
    return true;
}

// WordPress wants to be loaded in the global scope.
$database = parts_of($argv[1]);
define('DB_NAME', $database['name']);
define('DB_USER', $database['user']);
define('DB_PASSWORD', $database['password']);
define('DB_HOST', $database['host'] . ':' . ($database['socket'] ?? $database['port']));
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
define('AUTH_KEY', 'conformance');
define('LOGGED_IN_KEY', 'conformance logged in');
define('LOGGED_IN_SALT', 'conformance salt');
define('ABSPATH', unpacked('wordpress/'));
define('WP_CONTENT_DIR', sys_get_temp_dir() . '/no-such-wordpress-content');
define('WP_INSTALLING', true);
define('WP_SITEURL', 'http://application');
define('WP_HOME', 'http://application');
define('DISABLE_WP_CRON', true);
define('WP_HTTP_BLOCK_EXTERNAL', true);
$_SERVER += ['HTTP_HOST' => 'application', 'REQUEST_METHOD' => 'GET', 'REMOTE_ADDR' => '127.0.0.1', 'SERVER_PROTOCOL' => 'HTTP/1.1'];
$table_prefix = 'wp_';
ob_start();
require ABSPATH . 'wp-settings.php';
require ABSPATH . 'wp-admin/includes/upgrade.php';

final class Application
{
    /** @var array<string, string> address -> the cookie of its browser */
    private array $cookies = [];

    public function __construct(private readonly bool $old)
    {
    }

    public function versions(): array
    {
        return ['WordPress' => get_bloginfo('version'), 'PHP' => PHP_VERSION];
    }

    public function make(array $people): void
    {
        if ($this->old) {
            // Or the first log-in would make the hash anew.
            add_filter('password_needs_rehash', '__return_false');
        }
        make_db_current_silent();
        populate_options();
        populate_roles();
        foreach ($people as $email => $password) {
            $name = strtok($email, '@');
            // As it comes out of the form where an administrator adds a person: with slashes.
            $id = wp_insert_user(wp_slash(['user_login' => $name, 'user_email' => $email, 'user_pass' => $password]));
            if (is_wp_error($id)) {
                throw new RuntimeException($id->get_error_message());
            }
            if ($this->old) {
                require_once ABSPATH . WPINC . '/class-phpass.php';
                // As WordPress stored it before 6.8.
                $hash = (new PasswordHash(8, true))->HashPassword(wp_slash($password));
                $GLOBALS['wpdb']->update($GLOBALS['wpdb']->users, ['user_pass' => $hash], ['ID' => $id]);
                clean_user_cache($id);
            }
            add_user_meta($id, '_two_factor_enabled_providers', ['Two_Factor_Totp']);
            add_user_meta($id, '_two_factor_totp_key', "secret of $email");
            if (!$this->login($email, $password)) {
                throw new RuntimeException('no log-in');
            }
        }
    }

    public function nobodies(): array
    {
        return [];
    }

    public function login(string $email, string $password): bool
    {
        wp_cache_flush();
        // WordPress puts slashes into everything that comes in by HTTP, passwords as well.
        $_POST = wp_slash(['log' => $email, 'pwd' => $password]);
        $cookie = null;
        $keep = function (string $given) use (&$cookie): void {
            $cookie = $given;
        };
        add_filter('send_auth_cookies', '__return_false');
        add_action('set_logged_in_cookie', $keep);
        $user = wp_signon();
        remove_action('set_logged_in_cookie', $keep);
        $this->cookies[$email] ??= $cookie;
        return !is_wp_error($user);
    }

    public function own_reset(string $email, string $password): bool
    {
        wp_cache_flush();
        reset_password(get_user_by('email', $email), wp_slash($password));
        return true;
    }

    public function session(string $email): array
    {
        wp_cache_flush();
        return ['session' => wp_validate_auth_cookie($this->cookies[$email], 'logged_in') !== false];
    }

    public function second_factor(string $email): array
    {
        wp_cache_flush();
        $id = get_user_by('email', $email)->ID;
        return [get_user_meta($id, '_two_factor_enabled_providers'), get_user_meta($id, '_two_factor_totp_key')];
    }
}

serve(new Application(old: ($argv[2] ?? '') === 'phpass'));
