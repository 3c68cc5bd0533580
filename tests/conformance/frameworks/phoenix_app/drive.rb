# What `mix phx.gen.auth` makes, written down: its tables on SQLite, and its look-ups of people and of session tokens.
#
# Neither Phoenix nor bcrypt_elixir is packaged for Debian. The hash is checked by Ruby's bcrypt, which is Solar Designer's
# code where bcrypt_elixir's is OpenBSD's. The second factor is a column of the application's own.
require "active_record"
require "bcrypt"
require "securerandom"
require_relative "../protocol"

ActiveRecord::Base.establish_connection(for_active_record(ARGV[0]))

class User < ActiveRecord::Base
end

class Token < ActiveRecord::Base
  self.table_name = "users_tokens"
end

class Application
  def initialize
    @tokens = {}
  end

  def versions = { "ruby-bcrypt" => Gem.loaded_specs.fetch("bcrypt").version.to_s }

  def make(people:)
    connection = ActiveRecord::Base.connection
    connection.execute(<<~SQL)
      CREATE TABLE users (
        id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT NOT NULL COLLATE NOCASE, hashed_password TEXT,
        confirmed_at TEXT, totp_secret BLOB, inserted_at TEXT NOT NULL, updated_at TEXT NOT NULL)
    SQL
    connection.execute("CREATE UNIQUE INDEX users_email_index ON users (email)")
    connection.execute(<<~SQL)
      CREATE TABLE users_tokens (
        id INTEGER PRIMARY KEY AUTOINCREMENT, user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        token BLOB NOT NULL, context TEXT NOT NULL, sent_to TEXT, authenticated_at TEXT, inserted_at TEXT NOT NULL)
    SQL
    connection.execute("CREATE INDEX users_tokens_user_id_index ON users_tokens (user_id)")
    connection.execute("CREATE UNIQUE INDEX users_tokens_context_token_index ON users_tokens (context, token)")
    people.each do |email, password|
      now = Time.now.utc.iso8601
      hash = BCrypt::Password.create(password, cost: 12).sub("$2a$", "$2b$")
      user = User.create!(email: email, hashed_password: hash, totp_secret: SecureRandom.bytes(20), inserted_at: now,
                          updated_at: now)
      @tokens[email] = SecureRandom.bytes(32)
      Token.create!(user_id: user.id, token: @tokens[email], context: "session", inserted_at: now)
    end
    nil
  end

  # Who only ever logged in by a link.
  def nobodies
    now = Time.now.utc.iso8601
    User.create!(email: "nopassword@example.com", inserted_at: now, updated_at: now)
    ["nopassword@example.com"]
  end

  def login(email:, password:)
    user = User.find_by(email: email)
    !user.nil? && BCrypt::Password.new(user.hashed_password) == password
  end

  def own_reset(email:, password:) = false

  def session(email:) = { "session" => Token.exists?(token: @tokens[email], context: "session") }

  def second_factor(email:) = User.find_by!(email: email).totp_secret.unpack1("H*")
end

serve(Application.new)
