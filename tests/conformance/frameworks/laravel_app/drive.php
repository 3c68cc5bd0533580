<?php
// Laravel as Debian packages it: its kernel, its sessions in the database, its middleware AuthenticateSession, its guards.
// The tables are those of the skeleton that `laravel new` copies and of Sanctum and Fortify, written down here: those three
// are not packaged. Tokens are looked up as Sanctum does; the second factor is Fortify's columns.

require __DIR__ . '/../protocol.php';
set_include_path(unpacked('php'));
require 'Illuminate/autoload.php';

use Illuminate\Config\Repository;
use Illuminate\Contracts\Http\Kernel as KernelContract;
use Illuminate\Database\Schema\Blueprint;
use Illuminate\Foundation\Application as Laravel;
use Illuminate\Foundation\Auth\User as Authenticatable;
use Illuminate\Foundation\Http\Kernel;
use Illuminate\Http\Request;
use Illuminate\Http\Response;
use Illuminate\Support\Facades\Auth;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Facade;
use Illuminate\Support\Facades\Hash;
use Illuminate\Support\Facades\Password;
use Illuminate\Support\Facades\Route;
use Illuminate\Support\Facades\Schema;
use Illuminate\Support\Str;

final class User extends Authenticatable
{
    protected $guarded = [];
}

final class Web extends Kernel
{
    // There are no files to read: everything is configured below.
    protected $bootstrappers = [];
    protected $middlewareGroups = ['web' => [
        \Illuminate\Cookie\Middleware\EncryptCookies::class,
        \Illuminate\Cookie\Middleware\AddQueuedCookiesToResponse::class,
        \Illuminate\Session\Middleware\StartSession::class,
        \Illuminate\Session\Middleware\AuthenticateSession::class,
    ]];
}

final class Application
{
    private const PROVIDERS = [
        \Illuminate\Auth\AuthServiceProvider::class,
        \Illuminate\Auth\Passwords\PasswordResetServiceProvider::class,
        \Illuminate\Cookie\CookieServiceProvider::class,
        \Illuminate\Database\DatabaseServiceProvider::class,
        \Illuminate\Encryption\EncryptionServiceProvider::class,
        \Illuminate\Filesystem\FilesystemServiceProvider::class,
        \Illuminate\Hashing\HashServiceProvider::class,
        \Illuminate\Session\SessionServiceProvider::class,
    ];
    private Laravel $laravel;
    /** @var array<string, array<string, string>> address -> the cookies of its browser */
    private array $browsers = [];
    /** @var array<string, string> address -> the "remember me" cookie alone */
    private array $remembered = [];
    /** @var array<string, string> address -> its API token */
    private array $tokens = [];

    public function __construct(private readonly string $url)
    {
        $this->boot();
    }

    /** As PHP does for each request: from nothing. */
    private function boot(): void
    {
        $this->laravel = new Laravel(sys_get_temp_dir() . '/no-such-laravel');
        $this->laravel->instance('config', new Repository([
            'app' => [
                'key' => str_repeat('k', 32), 'cipher' => 'AES-256-CBC', 'locale' => 'en', 'env' => 'production', 'debug' => true,
            ],
            'auth' => [
                'defaults' => ['guard' => 'web', 'passwords' => 'users'],
                'passwords' => ['users' => [
                    'provider' => 'users', 'table' => 'password_reset_tokens', 'expire' => 60, 'throttle' => 60]],
                'guards' => ['web' => ['driver' => 'session', 'provider' => 'users']],
                'providers' => ['users' => ['driver' => 'eloquent', 'model' => User::class]],
            ],
            'database' => ['default' => 'main', 'connections' => ['main' => $this->connection($this->url)], 'migrations' => 'migrations'],
            'hashing' => ['driver' => 'bcrypt', 'bcrypt' => ['rounds' => 12]],
            'logging' => ['default' => 'null', 'channels' => ['null' => ['driver' => 'monolog', 'handler' => \Monolog\Handler\NullHandler::class]]],
            'session' => [
                'driver' => 'database', 'table' => 'sessions', 'lifetime' => 120, 'lottery' => [0, 100], 'cookie' => 'session',
                'path' => '/', 'domain' => null, 'expire_on_close' => false, 'encrypt' => false, 'secure' => false, 'connection' => null,
            ],
        ]));
        Facade::clearResolvedInstances();
        Facade::setFacadeApplication($this->laravel);
        foreach (self::PROVIDERS as $provider) {
            $this->laravel->register($provider);
        }
        $this->laravel->boot();
        $this->laravel->singleton(KernelContract::class, Web::class);
        $this->laravel->singleton(
            \Illuminate\Contracts\Debug\ExceptionHandler::class, \Illuminate\Foundation\Exceptions\Handler::class);
        Route::middleware('web')->post('/login', fn (Request $request) => new Response(
            '', Auth::attempt($request->only('email', 'password'), remember: true) ? 200 : 403));
        Route::middleware('web')->get('/me', fn () => Auth::user()?->email ?? '');
    }

    private function connection(string $url): array
    {
        if (str_starts_with($url, 'sqlite:///')) {
            return ['driver' => 'sqlite', 'database' => urldecode(substr($url, 10)), 'prefix' => ''];
        }
        $parts = parts_of($url);
        return [
            'driver' => 'mysql', 'database' => $parts['name'], 'host' => $parts['host'], 'port' => $parts['port'],
            'unix_socket' => $parts['socket'] ?? '', 'username' => $parts['user'], 'password' => $parts['password'], 'prefix' => '',
            'charset' => 'utf8mb4', 'collation' => 'utf8mb4_unicode_ci',
        ];
    }

    public function versions(): array
    {
        return ['Laravel' => Laravel::VERSION, 'PHP' => PHP_VERSION];
    }

    public function make(array $people): void
    {
        Schema::create('users', function (Blueprint $table): void {
            $table->id();
            $table->string('name');
            $table->string('email')->unique();
            $table->timestamp('email_verified_at')->nullable();
            $table->string('password');
            $table->text('two_factor_secret')->nullable();
            $table->text('two_factor_recovery_codes')->nullable();
            $table->timestamp('two_factor_confirmed_at')->nullable();
            $table->rememberToken();
            $table->timestamps();
        });
        Schema::create('sessions', function (Blueprint $table): void {
            $table->string('id')->primary();
            $table->foreignId('user_id')->nullable()->index();
            $table->string('ip_address', 45)->nullable();
            $table->text('user_agent')->nullable();
            $table->longText('payload');
            $table->integer('last_activity')->index();
        });
        Schema::create('password_reset_tokens', function (Blueprint $table): void {
            $table->string('email')->primary();
            $table->string('token');
            $table->timestamp('created_at')->nullable();
        });
        Schema::create('personal_access_tokens', function (Blueprint $table): void {
            $table->id();
            $table->morphs('tokenable');
            $table->string('name');
            $table->string('token', 64)->unique();
            $table->text('abilities')->nullable();
            $table->timestamp('last_used_at')->nullable();
            $table->timestamp('expires_at')->nullable();
            $table->timestamps();
        });
        foreach ($people as $email => $password) {
            $user = User::create([
                'name' => $email, 'email' => $email, 'password' => Hash::make($password),
                'two_factor_secret' => "secret of $email", 'two_factor_recovery_codes' => "codes of $email",
            ]);
            $this->browsers[$email] = [];
            $entered = $this->ask('POST', '/login', ['email' => $email, 'password' => $password], $this->browsers[$email]);
            if ($entered !== '200 ') {
                throw new RuntimeException("no log-in: $entered");
            }
            // What is in the session about the password is written by the first request after the log-in.
            $this->ask('GET', '/me', [], $this->browsers[$email]);
            $this->remembered[$email] = array_filter(
                $this->browsers[$email], fn (string $name): bool => str_starts_with($name, 'remember_'), ARRAY_FILTER_USE_KEY);
            $this->tokens[$email] = bin2hex(random_bytes(20));
            DB::table('personal_access_tokens')->insert([
                'tokenable_type' => 'App\\Models\\User', 'tokenable_id' => $user->id, 'name' => 'telephone',
                'token' => hash('sha256', $this->tokens[$email]), 'abilities' => '["*"]',
            ]);
            // A link of Laravel's own to a new password.
            DB::table('password_reset_tokens')->insert(['email' => $email, 'token' => Hash::make("token of $email")]);
        }
    }

    public function nobodies(): array
    {
        return [];
    }

    public function login(string $email, string $password): bool
    {
        $nobody = [];
        return $this->ask('POST', '/login', ['email' => $email, 'password' => $password], $nobody) === '200 ';
    }

    public function own_reset(string $email, string $password): bool
    {
        $this->boot();
        $credentials = ['email' => $email, 'password' => $password, 'token' => Password::createToken(User::firstWhere('email', $email))];
        // What the documentation of Laravel gives to copy, and Fortify does.
        $done = Password::reset($credentials, function (User $user, string $password): void {
            $user->forceFill(['password' => Hash::make($password)])->setRememberToken(Str::random(60));
            $user->save();
        });
        return $done === Password::PASSWORD_RESET;
    }

    public function session(string $email): array
    {
        // Copies: whoever looks must not be logged out by it.
        [$browser, $remembered] = [$this->browsers[$email], $this->remembered[$email]];
        return [
            'session' => $this->ask('GET', '/me', [], $browser) === "200 $email",
            'remember me' => $this->ask('GET', '/me', [], $remembered) === "200 $email",
            'api token' => DB::table('personal_access_tokens')->where('token', hash('sha256', $this->tokens[$email]))->exists(),
        ];
    }

    public function second_factor(string $email): array
    {
        return (array) DB::table('users')->where('email', $email)
            ->first(['two_factor_secret', 'two_factor_recovery_codes', 'two_factor_confirmed_at']);
    }

    /** @param array<string, string> $cookies what the browser has, and has afterwards */
    private function ask(string $method, string $path, array $form, array &$cookies): string
    {
        $this->boot();
        $kernel = $this->laravel->make(KernelContract::class);
        $answer = $kernel->handle(Request::create(
            "http://application$path", $method, $form, $cookies, server: ['HTTP_ACCEPT' => 'application/json']));
        foreach ($answer->headers->getCookies() as $cookie) {
            $cookies[$cookie->getName()] = $cookie->getValue();
        }
        return $answer->getStatusCode() . ' ' . $answer->getContent();
    }
}

serve(new Application($argv[1]));
