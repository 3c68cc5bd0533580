class PagesController < ApplicationController
  before_action :authenticate_user!

  def me = render(plain: current_user.email)
end
