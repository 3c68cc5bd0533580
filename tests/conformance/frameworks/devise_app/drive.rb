# A Rails application with Devise as Debian packages them; people log in at Devise's own /users/sign_in.
#
# Devise's session carries the first part of the hash, and so does its "remember me" cookie. The table is the one that
# `rails generate devise User` makes; the second factor is the columns of devise-two-factor, which does the log-in too.
require "logger"
require "rails"
require "active_record/railtie"
require "action_controller/railtie"
require "action_mailer/railtie"
require "devise"
require "devise-two-factor"
require "rack/test"
require_relative "../protocol"

ENV["DATABASE_URL"] = for_active_record(ARGV[0])

class Site < Rails::Application
  config.root = __dir__
  config.load_defaults 6.1
  config.eager_load = false
  config.consider_all_requests_local = true
  config.secret_key_base = "conformance" * 4
  config.hosts.clear
  config.logger = Logger.new($stderr)
  config.log_level = :fatal
  config.action_controller.allow_forgery_protection = false
  config.active_support.deprecation = :silence
end

require "devise/orm/active_record"
Devise.setup do |config|
  config.mailer_sender = "no-reply@example.com"
  config.secret_key = "conformance" * 4
  # What the generator writes: 12 rounds outside of tests.
  config.stretches = 12
  config.pepper = "a pepper that the kit tells resetsvc too" if ARGV[1] == "peppered"
end
Site.initialize!

class Application
  def initialize
    @browsers = {}
    @remembered = {}
  end

  def versions
    { "Rails" => Rails.version, **%w[devise devise-two-factor].to_h { |name| [name, Gem::Specification.find_by_name(name).version.to_s] },
      "Ruby" => RUBY_VERSION }
  end

  def make(people:)
    ActiveRecord::Schema.verbose = false
    ActiveRecord::Schema.define do
      create_table :users do |t|
        t.string :email, null: false, default: ""
        t.string :encrypted_password, null: false, default: ""
        t.string :reset_password_token
        t.datetime :reset_password_sent_at
        t.datetime :remember_created_at
        t.string :encrypted_otp_secret
        t.string :encrypted_otp_secret_iv
        t.string :encrypted_otp_secret_salt
        t.integer :consumed_timestep
        t.boolean :otp_required_for_login
        t.timestamps null: false
      end
      add_index :users, :email, unique: true
      add_index :users, :reset_password_token, unique: true
    end
    people.each do |email, password|
      User.create!(email: email, password: password, otp_secret: User.generate_otp_secret, otp_required_for_login: true)
      @browsers[email] = browser
      # A link of Devise's own to a new password.
      User.find_by!(email: email).send(:set_reset_password_token)
      raise "no log-in" unless log_in(@browsers[email], email, password)

      @remembered[email] = @browsers[email].last_response["Set-Cookie"][/remember_user_token=([^;]+)/, 1]
    end
    nil
  end

  # Who only ever comes by OmniAuth has an empty hash.
  def nobodies
    User.new(email: "omniauth@example.com").save!(validate: false)
    ["omniauth@example.com"]
  end

  def login(email:, password:) = log_in(browser, email, password)

  def own_reset(email:, password:)
    link = User.find_by!(email: email).send(:set_reset_password_token)
    User.reset_password_by_token(reset_password_token: link, password: password, password_confirmation: password).errors.empty?
  end

  def session(email:)
    stranger = browser
    stranger.set_cookie("remember_user_token=#{@remembered[email]}")
    { "session" => me?(@browsers[email], email), "remember me" => me?(stranger, email) }
  end

  def second_factor(email:)
    User.find_by!(email: email)
        .attributes.slice("encrypted_otp_secret", "encrypted_otp_secret_iv", "encrypted_otp_secret_salt", "otp_required_for_login")
  end

  private

  def browser = Rack::Test::Session.new(Site)

  # With the code of the second factor, which is asked of everybody here.
  def log_in(browser, email, password)
    code = User.find_by!(email: email).tap { |user| user.update_column(:consumed_timestep, nil) }.current_otp
    browser.post("/users/sign_in", user: { email: email, password: password, otp_attempt: code, remember_me: "1" })
    browser.last_response.status == 302
  end

  def me?(browser, email)
    browser.get("/me")
    browser.last_response.status == 200 && browser.last_response.body == email
  end
end

serve(Application.new)
