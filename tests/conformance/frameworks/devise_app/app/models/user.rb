class User < ActiveRecord::Base
  devise :two_factor_authenticatable, :registerable, :recoverable, :rememberable, :validatable,
         otp_secret_encryption_key: "k" * 32
end
